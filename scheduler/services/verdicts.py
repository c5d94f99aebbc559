"""Verify and settle a task: compare what different owners returned, pay who agreed, record the evidence."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

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
    task = (
        Task.objects.select_for_update(no_key=True, of=("self",))
        .select_related("job__submitter", "job__cooperative", "job__model_version__model__publisher")
        .get(pk=task_id)
    )
    if task.state != Task.State.OPEN:
        return False
    attempts = list(
        task.attempts.filter(state=Attempt.State.SUBMITTED)
        .select_related("node", "lease")
        .prefetch_related("outputs__blob")
        .order_by("submitted_at", "pk")
    )
    by_id = {attempt.pk: attempt for attempt in attempts}
    verdict = verification.verdict(
        [attempt.pk for attempt in attempts],
        agree=lambda left, right: results_agree(by_id[left], by_id[right]),
        wanted=task.wanted_results,
        tie_breaks=task.tie_breaks,
        another_owner_exists=lambda: bool(capacity.others_able(task)),
    )
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
    rules = accounts.policy(task.job.cooperative_id, task.job.policy_number)
    _settle(task, outcome.winners, rules, now)
    for attempt in outcome.losers:
        attempt.state, attempt.reason, attempt.finished_at = Attempt.State.REJECTED, "result_rejected", now
        attempt.save(update_fields=["state", "reason", "finished_at"])
        timeline.note(task.job, "result_rejected", task_id=task.pk, node=attempt.node_id)
    task.state = Task.State.ACCEPTED
    task.accepted_attempt = outcome.winners[0]
    task.open_executions = 0
    task.finished_at = now
    task.save(update_fields=["state", "accepted_attempt", "open_executions", "finished_at"])
    _record(task, outcome, rules, now)
    timeline.changed(task.job)
    jobs.enqueue("scheduler.tasks.finish_job", job_id=task.job_id)


def _settle(task: Task, winners: list[Attempt], rules: Rules, now: datetime) -> None:
    """One transfer for the task, keyed by it, so that no retry can pay twice."""
    job = task.job
    coop = f"coop:{job.cooperative_id}"
    shares = nodes.shares_of([attempt.node_id for attempt in winners])
    version = job.model_version
    result = settlement.settle(
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
    if result.entries:
        ledger.transfer(
            key=f"task:{task.pk}:settle", kind="settlement", entries=result.entries, reason=f"task {task.pk}"
        )
    for attempt in winners:
        attempt.state, attempt.finished_at = Attempt.State.ACCEPTED, now
        attempt.billed_ms, attempt.billed_micro = result.billed_ms, result.billed_micro[attempt.pk]
        attempt.save(update_fields=["state", "finished_at", "billed_ms", "billed_micro"])
    _record_contributions(task, winners, shares, result, now)
    live.publish(f"wallet.{job.submitter_id}")


def _payer(attempt: Attempt, job: Job) -> str:
    """The member pays what they bought; checks are the assurance fund's. Own work costs nothing."""
    if attempt.purpose in (Attempt.Purpose.BOUGHT, Attempt.Purpose.OWN):
        return job.hold_address
    return f"coop:{job.cooperative_id}:assurance"


def _record_contributions(
    task: Task,
    winners: list[Attempt],
    shares: dict[int, list[tuple[int, str, int]]],
    result: settlement.Settlement,
    now: datetime,
) -> None:
    """What each owner's machine and the publisher brought in."""
    items = []
    for attempt in winners:
        if attempt.purpose == Attempt.Purpose.OWN:
            continue
        for membership_id, wallet, bp in shares[attempt.node_id]:
            items.append(
                NewContribution(
                    membership_id=membership_id,
                    node_id=attempt.node_id,
                    kind="COMPUTE",
                    quantity=attempt.lot_milli * result.billed_ms * bp // 10_000 // 1000,
                    earned_micro=result.earned_micro[attempt.pk][wallet],
                    reference=f"attempt:{attempt.pk}:{membership_id}",
                    at=now,
                )
            )
            live.publish(f"wallet.{membership_id}")
        live.publish(f"node.{attempt.node_id}.page")
    if task.job.model_version and task.job.royalty_micro:
        publisher = task.job.model_version.model.publisher
        items.append(
            NewContribution(
                membership_id=publisher.pk,
                kind="MODEL",
                quantity=1,
                earned_micro=result.royalty_earned_micro,
                reference=f"task:{task.pk}:royalty",
                at=now,
            )
        )
    reputation.record_contributions(items=items)


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
