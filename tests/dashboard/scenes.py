"""Rows for pages to show: nodes with offers, a published model, jobs with tasks and attempts at any stage."""

import datetime
import itertools
import json

import numpy as np

from accounts import services as accounts
from common import money
from ledger import services as ledger
from ledger.core.postings import Entry
from marketplace import services as market
from marketplace.models import Lease, Order, Trade
from opengrid import digests, npy
from registry import services as registry
from registry.models import Model, ModelVersion
from reputation import services as reputation
from reputation.services import NewContribution, NewEvidence
from scheduler.models import Attempt, AttemptOutput, Job, JobEvent, Task
from tests.nodes import agents
from tests.registry import models

_sequence = itertools.count(1)
PRICE_MICRO = 800_000
LIMIT_MICRO = 1_000_000


def credit(steward, membership, credits, now):
    """Credits issued to a member's wallet."""
    accounts.propose_credit_issue(
        by=steward, to_address=membership.wallet, amount_micro=credits * money.MICRO, reason="first credit", now=now
    )


def a_node(operator, now, *, name="shed", seen=True, price_micro=PRICE_MICRO, offers=True):
    """A node on probation that was heard of now, with a standing offer on the book."""
    node = agents.working(operator, now, floor_price_micro=500_000, node_name=name, zone="north")
    if seen:
        type(node).objects.filter(pk=node.pk).update(last_seen_at=now, reported_load_permille=420)
    if offers:
        an_order(
            node.operator, side="SELL", node=node, price_micro=price_micro, lots=node.sellable_lots, is_standing=True
        )
    node.refresh_from_db()
    return node


def an_order(membership, *, side, price_micro, lots, filled=0, state="OPEN", now=None, **fields):
    """An order as the matcher left it."""
    book = market.book_for(membership.cooperative)
    return Order.objects.create(
        book=book,
        side=side,
        placed_by=membership,
        owner_key=f"user:{membership.user_id}",
        price_micro=price_micro,
        lots=lots,
        open_lots=0 if state in ("FILLED", "CANCELLED") else lots - filled,
        filled_lots=lots if state == "FILLED" else filled,
        state=state,
        sequence=None if state == "ACCEPTED" else 1_000_000 + next(_sequence),
        **fields,
    )


def a_lease(node, holder, *, lots=1, price_micro=PRICE_MICRO, reference="", state="LIVE", now=None):
    """Lots of a node, traded for a job or a member."""
    buy = an_order(holder, side="BUY", price_micro=LIMIT_MICRO, lots=lots, state="FILLED", reference=reference)
    sell = Order.objects.filter(node=node, is_standing=True).first() or an_order(
        node.operator, side="SELL", node=node, price_micro=price_micro, lots=lots, state="FILLED"
    )
    Order.objects.filter(pk=sell.pk, state="OPEN").update(open_lots=max(0, sell.open_lots - lots))
    trade = Trade.objects.create(
        book=buy.book,
        ref=f"{next(_sequence)}.0",
        buy_order=buy,
        sell_order=sell,
        node=node,
        lots=lots,
        price_micro=price_micro,
    )
    return Lease.objects.create(
        trade=trade,
        book=buy.book,
        node=node,
        holder=holder,
        reference=reference,
        lots=lots,
        price_micro=price_micro,
        state=state,
        ended_at=None if state == "LIVE" else now,
        end_reason="" if state == "LIVE" else "job_finished",
    )


def a_model_version(publisher, now, *, name="digits", version="1.0.0", royalty_micro=20):
    """A signed version of a model that takes rows of four numbers, as the registry keeps it (see tests/registry)."""
    signer = models.Publisher(publisher, now)
    files = {"model.onnx": b"not read by any page"}
    text, signature = signer.sign(files, name=name, version=version, royalty_micro_per_task=royalty_micro)
    return ModelVersion.objects.create(
        model=Model.objects.create(cooperative=publisher.cooperative, publisher=publisher, name=name),
        version=version,
        manifest=text,
        manifest_digest=digests.of_bytes(text.encode()),
        signature=signature,
        publisher_key=publisher.publisher_keys.get(),
        royalty_micro=royalty_micro,
    )


def a_blob(membership, array=None):
    """A stored array."""
    array = np.arange(4, dtype=np.int64) if array is None else array
    return registry.store_blob(chunks=[npy.dump(array)], limit_bytes=1 << 24, membership=membership)


def a_job(
    member, now, *, version=None, tasks=4, state="RUNNING", name="classify scans", executions=2, pays=True, reason=""
):
    """A job with its hold, tasks that nobody has begun, and the start of its timeline."""
    blob = a_blob(member)
    ended = state in ("DONE", "FAILED", "CANCELLED")
    held = tasks * executions * 20_000
    job = Job.objects.create(
        cooperative=member.cooperative,
        submitter=member,
        name=name,
        runner="onnx",
        model_version=version,
        spec=_spec(name, blob, executions),
        assurance=f"quorum-{executions}" if executions > 1 else "none",
        executions=executions,
        limit_price_micro=LIMIT_MICRO,
        max_seconds=60,
        royalty_micro=version.royalty_micro if version else 0,
        policy_number=1,
        tasks_total=tasks,
        held_micro=held,
        state=state,
        reason=reason,
        expanded_at=None if state == "SUBMITTED" else now,
        submitted_at=now,
        finished_at=now if ended else None,
    )
    if pays:
        ledger.hold(
            payer=member.wallet, hold_address=job.hold_address, amount_micro=held, key=f"job:{job.pk}:hold", reason=name
        )
    open_now = 0 if ended else executions
    Task.objects.bulk_create(
        Task(
            job=job,
            index=index,
            input=blob,
            input_name="input.npy",
            row_start=index * 100,
            row_stop=index * 100 + 100,
            state="CANCELLED" if ended else "OPEN",
            wanted_results=executions,
            open_executions=open_now,
            bought_left=open_now,
            max_claims=executions + 4,
        )
        for index in range(tasks)
    )
    note(job, "job_submitted", tasks=tasks, held_micro=held)
    note(job, "job_expanded", tasks=tasks)
    return job


def _spec(name, blob, executions):
    wanted = {
        "name": name,
        "runner": "onnx",
        "model_version_id": 1,
        "inputs": [{"name": "scans.npy", "digest": blob.digest, "size_bytes": blob.size_bytes}],
        "rows_per_task": 100,
        "assurance": f"quorum-{executions}" if executions > 1 else "none",
        "limit_price_micro": LIMIT_MICRO,
    }
    return json.loads(json.dumps(wanted))


def note(job, reason, *, task=None, **params):
    """A line of the job's timeline."""
    return JobEvent.objects.create(job=job, task=task, reason=reason, params=params)


def an_attempt(
    task, node, lease, now, *, state="RUNNING", purpose="BOUGHT", labels=None, ms=850, reason="", progress=0
):
    """A try of a task; labels make it a result with an output file."""
    task.claims += 1
    task.save(update_fields=["claims"])
    has_result = state in ("SUBMITTED", "ACCEPTED", "REJECTED")
    attempt = Attempt.objects.create(
        task=task,
        lease=lease,
        node=node,
        owner_key=f"user:{node.operator.user_id}",
        token=task.claims,
        purpose=purpose,
        state=state,
        reason=reason,
        price_micro=lease.price_micro,
        lot_milli=1000,
        claimed_at=now,
        deadline_at=now + datetime.timedelta(seconds=90),
        progress_permille=1000 if has_result else progress,
        submitted_at=now if has_result else None,
        metered_ms=ms if has_result else None,
        result_digest=f"sha256:{next(_sequence):064x}" if has_result else "",
        receipt={"attempt_id": 1, "outputs": []} if has_result else None,
        receipt_signature="A" * 86 if has_result else "",
        finished_at=None if state in ("RUNNING", "SUBMITTED") else now,
    )
    if labels is not None:
        blob = a_blob(None, np.asarray(labels, dtype=np.int64))
        AttemptOutput.objects.create(attempt=attempt, name="labels.npy", blob=blob)
    return attempt


def accept(task, winners, losers, now):
    """Settle a task as the scheduler does: winners billed and paid, losers rejected and unpaid."""
    ms = min(attempt.metered_ms for attempt in winners)
    for attempt in winners:
        amount = attempt.price_micro * ms // 3_600_000
        attempt.state, attempt.finished_at, attempt.billed_ms, attempt.billed_micro = "ACCEPTED", now, ms, amount
        attempt.save()
        _pay(task, attempt, amount, now)
    _royalty(task)
    for attempt in losers:
        attempt.state, attempt.finished_at, attempt.reason = "REJECTED", now, "result_rejected"
        attempt.save()
        note(task.job, "result_rejected", task=task, node=attempt.node_id)
    reputation.record(
        items=[
            NewEvidence(
                node_id=attempt.node_id,
                dimension="correctness",
                success=attempt in winners,
                reason="agreed" if attempt in winners else "disagreed",
                reference=f"attempt:{attempt.pk}",
                at=now,
            )
            for attempt in (*winners, *losers)
        ]
    )
    task.state, task.accepted_attempt, task.open_executions, task.finished_at = "ACCEPTED", winners[0], 0, now
    task.save()


def _royalty(task):
    """The publisher's part, as the scheduler would pay it."""
    job = task.job
    if not job.royalty_micro:
        return
    publisher = job.model_version.model.publisher
    entries = [Entry(job.hold_address, -job.royalty_micro), Entry(publisher.wallet, job.royalty_micro)]
    ledger.transfer(key=f"task:{task.pk}:royalty", kind="settlement", entries=entries, reason=f"task {task.pk}")


def _pay(task, attempt, amount, now):
    own = amount * 85 // 100
    payer = task.job.hold_address if attempt.purpose == "BOUGHT" else f"coop:{task.job.cooperative_id}:assurance"
    ledger.transfer(
        key=f"task:{task.pk}:settle:{attempt.pk}",
        kind="settlement",
        entries=[
            Entry(payer, -amount),
            Entry(attempt.node.operator.wallet, own),
            Entry(f"coop:{task.job.cooperative_id}:treasury", amount - own),
        ],
        reason=f"task {task.pk}",
    )
    reputation.record_contributions(
        items=[
            NewContribution(
                membership_id=attempt.node.operator_id,
                node_id=attempt.node_id,
                kind="COMPUTE",
                quantity=attempt.metered_ms,
                earned_micro=own,
                reference=f"attempt:{attempt.pk}:{attempt.node.operator_id}",
                at=now,
            )
        ]
    )


def finish(job, now, *, state="DONE"):
    """End a job and give the rest of its hold back."""
    job.state, job.finished_at, job.closed_at = state, now, now
    job.save()
    returned = ledger.release(
        payer=job.submitter.wallet, hold_address=job.hold_address, key=f"job:{job.pk}:release", reason=job.name
    )
    note(job, f"job_{state.lower()}", returned_micro=returned)
    Lease.objects.filter(reference=job.reference, state="LIVE").update(state="CLOSED", ended_at=now, closed_at=now)
