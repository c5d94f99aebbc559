"""Verify and settle a task: compare what different owners returned, pay who agreed, record the evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import connection, transaction
from django.db.models import QuerySet, prefetch_related_objects

from accounts import queries as accounts
from accounts.core.policy import Rules
from common import jobs, live
from ledger import services as ledger
from nodes import queries as nodes
from nodes import services as node_services
from nodes.core import reasons, states
from opengrid import compare, npy
from registry import blobs
from reputation import queries as reputation_queries
from reputation import services as reputation
from reputation.services import NewContribution, NewEvidence
from scheduler import queries
from scheduler.core import settlement, verification
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, claims, endings, timeline

COMPARED_BYTES = 64 * 1024 * 1024
"""Arrays larger than this are compared by digest alone."""


@transaction.atomic
def verify_task(*, task_id: int, now: datetime) -> bool:
    """Judge a task that has its results, and settle it in the same transaction. Safe to run twice.

    1. Lock the task; nothing to do unless it is open and has the results it wants.
    2. Ask core.verification for the verdict.
    3. Accepted: pay the agreeing executions and the royalty in one transfer; losers are not paid.
    4. A tie-break hands out one more execution, if the assurance fund may owe it; a dispute fails the task and
       charges nobody.
    5. Evidence, probation and quarantine follow from who won and lost.

    Returns whether the task came to an end.
    """
    task = _with_job(Task.objects.select_for_update(no_key=True, of=("self",))).get(pk=task_id)
    if task.state != Task.State.OPEN:
        return False
    by_id = {attempt.pk: attempt for attempt in _results([task])[task.pk]}
    verdict = _verdict(task, by_id)
    match verdict:
        case verification.Waiting():
            return False
        case verification.TieBreak() if not claims.fund_may_owe(task.job.cooperative_id):
            endings.fail_task(task, reason="assurance_fund_exhausted", now=now)
            return True
        case verification.TieBreak():
            _ask_another_owner(task, now)
            return False
        case verification.Disputed(reason):
            endings.fail_task(task, reason=reason, now=now)
            return True
        case verification.Accepted():
            _accept(task, by_id, verdict, now)
            return True


@transaction.atomic
def settle_tasks(*, task_ids: Sequence[int], now: datetime) -> list[int]:
    """Settle those of the tasks that are accepted without comparing, with a fixed number of statements.

    1. Lock the tasks, in order, leaving out what somebody else is judging at this moment.
    2. Each gets the same verdict as `verify_task` would give it.
    3. What needs no comparison is paid, task by task under its own key, in one call of the ledger.

    Comparisons move scores, probation and quarantine of nodes, whose locks are taken for one task at a time:
    they are left to `verify_task`. Returns their ids. Safe to run twice and at once.
    """
    free = Task.objects.select_for_update(no_key=True, of=("self",), skip_locked=True)
    tasks = list(_with_job(free).filter(pk__in=task_ids, state=Task.State.OPEN).order_by("pk"))
    results = _results(tasks)
    settled: list[tuple[Task, list[Attempt]]] = []
    left = []
    for task in tasks:
        attempts = results[task.pk]
        if len(attempts) > 1 or task.wanted_results > 1:
            left.append(task.pk)
        elif attempts and isinstance(_verdict(task, {attempts[0].pk: attempts[0]}), verification.Accepted):
            settled.append((task, attempts))
    _pay(settled, now)
    return left


def _with_job(tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Tasks with all that settling asks of their jobs; a job's long request stays where it is."""
    return tasks.select_related("job__submitter", "job__cooperative", "job__model_version__model__publisher").defer(
        "job__spec", "job__model_version__manifest"
    )


def _results(tasks: Sequence[Task]) -> dict[int, list[Attempt]]:
    """Results that wait for a verdict, by task, oldest first; with their outputs where there are several."""
    found: dict[int, list[Attempt]] = {task.pk: [] for task in tasks}
    rows = Attempt.objects.filter(task_id__in=found, state=Attempt.State.SUBMITTED).defer("receipt")
    for attempt in rows.order_by("submitted_at", "pk"):
        found[attempt.task_id].append(attempt)
    compared = [attempt for attempts in found.values() if len(attempts) > 1 for attempt in attempts]
    prefetch_related_objects(compared, "outputs__blob", "node")
    return found


def _verdict(task: Task, by_id: dict[int, Attempt]) -> verification.Verdict:
    return verification.verdict(
        list(by_id),
        agree=lambda left, right: results_agree(by_id[left], by_id[right]),
        wanted=task.wanted_results,
        tie_breaks=task.tie_breaks,
        another_owner_exists=lambda: bool(capacity.others_able(task)),
    )


def results_agree(reference: Attempt, other: Attempt) -> bool:
    """Whether two results are the same: equal digests, or arrays equal within tolerance (opengrid.compare)."""
    if reference.result_digest == other.result_digest:
        return True
    left = {output.name: output.blob for output in reference.outputs.all()}
    right = {output.name: output.blob for output in other.outputs.all()}
    if left.keys() != right.keys():
        return False
    for name, blob in left.items():
        if blob.digest == right[name].digest:
            continue
        if not name.endswith(".npy") or max(blob.size_bytes, right[name].size_bytes) > COMPARED_BYTES:
            return False
        if not _arrays_agree(blob.digest, right[name].digest):
            return False
    return True


def _arrays_agree(reference: str, other: str) -> bool:
    """An output that is no array agrees with nothing but itself."""
    try:
        arrays = [npy.load(blobs.read(digest)) for digest in (reference, other)]
    except npy.NpyRefused:
        return False
    return compare.compare(arrays[0], arrays[1]).agree


def _ask_another_owner(task: Task, now: datetime) -> None:
    task.tie_breaks += 1
    task.wanted_results += 1
    task.open_executions += 1
    task.max_claims += 1
    task.draw -= 1  # a claim looks at tie-breaks first, so that a liar is known sooner
    task.save(update_fields=["tie_breaks", "wanted_results", "open_executions", "max_claims", "draw"])
    timeline.note(task.job, "tie_break", task_id=task.pk)
    capacity.replenish(job_id=task.job_id, now=now)
    endings.wake_nodes_of(task.job)


@dataclass(frozen=True)
class _Outcome:
    """Winners and losers of an accepted task, as rows."""

    winners: list[Attempt]
    losers: list[Attempt]
    checked: bool


def _accept(task: Task, by_id: dict[int, Attempt], verdict: verification.Accepted, now: datetime) -> None:
    outcome = _Outcome([by_id[pk] for pk in verdict.winners], [by_id[pk] for pk in verdict.losers], verdict.checked)
    for attempt in outcome.losers:
        attempt.state, attempt.reason, attempt.finished_at = Attempt.State.REJECTED, "result_rejected", now
        attempt.save(update_fields=["state", "reason", "finished_at"])
        timeline.note(task.job, "result_rejected", task_id=task.pk, node=attempt.node_id)
    _pay([(task, outcome.winners)], now)
    _record(task, outcome, accounts.policy(task.job.cooperative_id, task.job.policy_number), now)


_ACCEPT_ATTEMPTS = """
UPDATE scheduler_attempt AS attempt
SET state = 'ACCEPTED', finished_at = %(now)s, billed_ms = new.billed_ms, billed_micro = new.billed_micro
FROM unnest(%(ids)s::bigint[], %(ms)s::bigint[], %(micro)s::bigint[]) AS new (id, billed_ms, billed_micro)
WHERE attempt.id = new.id
"""
_ACCEPT_TASKS = """
UPDATE scheduler_task AS task
SET state = 'ACCEPTED', accepted_attempt_id = new.attempt_id, open_executions = 0, finished_at = %(now)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::bigint[]) AS new (id, attempt_id) WHERE task.id = new.id
"""


def _pay(accepted: Sequence[tuple[Task, list[Attempt]]], now: datetime) -> None:
    """End tasks with their winners: one transfer for each, keyed by the task, so that no retry can pay twice."""
    if not accepted:
        return
    shares = nodes.shares_of({attempt.node_id for _, winners in accepted for attempt in winners})
    rules = {
        key: accounts.policy(*key)
        for key in {(task.job.cooperative_id, task.job.policy_number) for task, _ in accepted}
    }
    bills = [
        (task, winners, _bill(task.job, winners, shares, rules[task.job.cooperative_id, task.job.policy_number]))
        for task, winners in accepted
    ]
    ledger.transfer_many(
        transfers=[
            ledger.NewTransfer(f"task:{task.pk}:settle", "settlement", bill.entries, f"task {task.pk}")
            for task, _, bill in bills
            if bill.entries
        ]
    )
    _write_accepted(bills, now)
    contributions = [item for task, winners, bill in bills for item in _contributions(task, winners, shares, bill, now)]
    reputation.record_contributions(items=contributions)
    for task, winners in accepted:
        live.publish(f"wallet.{task.job.submitter_id}")
        timeline.changed(task.job)
        for attempt in winners:
            if attempt.purpose != Attempt.Purpose.OWN:
                live.publish(f"node.{attempt.node_id}.page")
    for membership_id in {item.membership_id for item in contributions if item.kind == "COMPUTE"}:
        live.publish(f"wallet.{membership_id}")
    transaction.on_commit(partial(_announce_ended, {task.job_id for task, _ in accepted}))


def _announce_ended(job_ids: set[int]) -> None:
    """Asked after the commit, so that of two that settle a job's last tasks at once the later one sees it."""
    for job_id in sorted(queries.without_open_tasks(job_ids)):
        jobs.enqueue("scheduler.tasks.finish_job", job_id=job_id)


def _write_accepted(bills: Sequence[tuple[Task, list[Attempt], settlement.Settlement]], now: datetime) -> None:
    billed = [
        (attempt.pk, bill.billed_ms, bill.billed_micro[attempt.pk]) for _, winners, bill in bills for attempt in winners
    ]
    ids, ms, micro = (list(column) for column in zip(*billed, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_ACCEPT_ATTEMPTS, {"now": now, "ids": ids, "ms": ms, "micro": micro})
        cursor.execute(
            _ACCEPT_TASKS,
            {
                "now": now,
                "ids": [task.pk for task, _, _ in bills],
                "attempts": [winners[0].pk for _, winners, _ in bills],
            },
        )


def _bill(
    job: Job, winners: list[Attempt], shares: dict[int, list[tuple[int, str, int]]], rules: Rules
) -> settlement.Settlement:
    coop = f"coop:{job.cooperative_id}"
    version = job.model_version
    return settlement.settle(
        [
            settlement.Execution(
                attempt_id=attempt.pk,
                paid_by=_payer(attempt, job),
                price_micro=attempt.price_micro,
                quantity_milli=attempt.lot_milli,
                metered_ms=attempt.metered_ms or 0,
                owners={wallet: bp for _, wallet, bp in shares[attempt.node_id]},
            )
            for attempt in winners
        ],
        royalty=settlement.Royalty(job.royalty_micro, job.hold_address, version.model.publisher.wallet)
        if version
        else None,
        rules=rules,
        funds=settlement.Funds(f"{coop}:treasury", f"{coop}:reserve", f"{coop}:assurance"),
    )


def _payer(attempt: Attempt, job: Job) -> str:
    """The member pays what they bought; checks are the assurance fund's. Own work costs nothing."""
    if attempt.purpose in (Attempt.Purpose.BOUGHT, Attempt.Purpose.OWN):
        return job.hold_address
    return f"coop:{job.cooperative_id}:assurance"


def _contributions(
    task: Task,
    winners: list[Attempt],
    shares: dict[int, list[tuple[int, str, int]]],
    bill: settlement.Settlement,
    now: datetime,
) -> Iterator[NewContribution]:
    """What each owner's machine and the publisher brought in."""
    for attempt in winners:
        if attempt.purpose == Attempt.Purpose.OWN:
            continue
        for membership_id, wallet, bp in shares[attempt.node_id]:
            yield NewContribution(
                membership_id=membership_id,
                node_id=attempt.node_id,
                kind="COMPUTE",
                quantity=attempt.lot_milli * bill.billed_ms * bp // 10_000 // 1000,
                earned_micro=bill.earned_micro[attempt.pk][wallet],
                reference=f"attempt:{attempt.pk}:{membership_id}",
                at=now,
            )
    if task.job.model_version and task.job.royalty_micro:
        publisher = task.job.model_version.model.publisher
        yield NewContribution(
            membership_id=publisher.pk,
            kind="MODEL",
            quantity=1,
            earned_micro=bill.royalty_earned_micro,
            reference=f"task:{task.pk}:royalty",
            at=now,
        )


def _record(task: Task, outcome: _Outcome, rules: Rules, now: datetime) -> None:
    """Evidence about correctness exists only where results were compared."""
    if not outcome.checked:
        return
    judged = [(attempt, True) for attempt in outcome.winners] + [(attempt, False) for attempt in outcome.losers]
    reputation.record(
        items=[
            NewEvidence(
                node_id=attempt.node_id,
                dimension="correctness",
                success=won,
                reason="agreed" if won else "disagreed",
                reference=f"attempt:{attempt.pk}",
                at=now,
            )
            for attempt, won in judged
        ]
    )
    node_services.record_validations(
        results=sorted((attempt.node_id, won) for attempt, won in judged),
        probation_validations=rules.probation_validations,
        now=now,
    )
    reputation.rescore(node_ids=sorted({attempt.node_id for attempt, _ in judged}), now=now)
    for attempt in outcome.losers:
        rejections = reputation_queries.rejections_in_last(attempt.node_id, rules.quarantine_window)
        if rejections >= rules.quarantine_rejections and attempt.node.state not in (states.QUARANTINED, states.RETIRED):
            node_services.quarantine(node=attempt.node, reason=reasons.REPEATED_REJECTIONS, now=now)
            timeline.note(task.job, "node_quarantined", task_id=task.pk, node=attempt.node_id)
