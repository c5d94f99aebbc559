"""What a job needs from the market: orders for the lots it lacks, leases given back when they idle."""

import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, Sum
from django.db.models.functions import Greatest

from marketplace import queries as market_queries
from marketplace import services as market
from marketplace.core.fit import Needs
from marketplace.models import Lease
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid.messages import JobSpec
from scheduler.core import failures
from scheduler.models import Attempt, Job, Task
from scheduler.services import timeline

IDLE_SECONDS = 60
"""A lease without a runnable task for this long is given back."""


def needs_of(spec: JobSpec) -> Needs:
    """What one lot of the job needs from a node."""
    return Needs(
        runner=spec.runner.value,
        memory_mib=spec.memory_mib,
        disk_mib=spec.disk_mib,
        required_isolation=frozenset(spec.required_isolation),
        tiers=frozenset(spec.tiers) or None,
        zones=frozenset(spec.zones) or None,
    )


def buy_missing(job: Job, *, now: datetime) -> None:
    """Place a BUY order for the lots that the job's runnable tasks lack. The caller has locked the job.

    1. Wanted: one lot for each execution that is out or may be handed out, at most max_parallel.
    2. Had: lots of live leases and of orders that still rest.
    3. Tasks that no present owner may run (a tie-break, say) get one lot of another owner.
    """
    if job.closed_at is not None:
        return
    some = Task.objects.filter(job=job, open_executions__gt=0).values("open_executions")[: job.max_parallel]
    runnable = some.aggregate(total=Sum("open_executions"))["total"] or 0
    if not runnable:
        return
    running = Attempt.objects.filter(task__job=job, state=Attempt.State.RUNNING).count()
    spec = job.request
    wanted = min(job.max_parallel, runnable + running)
    had = market_queries.lots_for(job.reference)
    if wanted > had.live + had.resting:
        _buy(job, needs_of(spec), lots=wanted - had.live - had.resting)
    elif not had.resting:
        task = _stuck_task(job)
        if task is not None:
            _buy(job, _needs_of_stuck(task), lots=1)


def _buy(job: Job, needs: Needs, *, lots: int) -> None:
    order = market.place_order(
        book=market.book_for(job.cooperative, "cpu"),
        side="BUY",
        placed_by=job.submitter,
        price_micro=job.limit_price_micro,
        lots=lots,
        needs=needs,
        max_lots_per_owner=_spread(job, lots),
        reference=job.reference,
        hold_address=job.hold_address,
    )
    timeline.note(job, "order_placed", order=order.pk, lots=lots, limit_price_micro=job.limit_price_micro)


def _spread(job: Job, lots: int) -> int | None:
    """Most lots of one operator, so that there is room for the others who must run each task; None for no limit.

    Where there are not enough operators, a validator stands in for one, and the book does not tell it from its
    operator's other nodes.
    """
    if job.executions == 1:
        return None
    able = market_queries.nodes_able(job.cooperative, needs_of(job.request)).able
    operators = {node.operator.user_id for node in able} - {job.submitter.user_id}
    return -(-lots // job.executions) if len(operators) >= job.executions else None


def _stuck_task(job: Job) -> Task | None:
    """A task that no node with a live lease of the job may take; None if there is none."""
    leased = Lease.objects.filter(reference=job.reference, state=Lease.State.LIVE).select_related("node__operator")
    present = {nodes.execution_owner(lease.node) for lease in leased}
    tried: dict[int, list[tuple[str, str]]] = {}
    rows = Attempt.objects.filter(task__job=job, task__open_executions__gt=0, task__claims__gt=0).order_by(
        "task_id", "pk"
    )
    for task_id, owner, state in rows.values_list("task_id", "owner_key", "state"):
        tried.setdefault(task_id, []).append((owner, state))
    for task_id, attempts in tried.items():
        if present <= failures.barred(attempts):
            return Task.objects.select_related("job__cooperative", "job__submitter").get(pk=task_id)
    return None


def _needs_of_stuck(task: Task) -> Needs:
    """The job's needs, of a node whose owner may still take the task.

    Owners are named, so that a node that joins later will do. A validator counts apart from its owner's other
    nodes, which the book does not know: where there are validators, the nodes are named instead.
    """
    needs = needs_of(task.job.request)
    eligible = others_able(task)
    if any(node.is_validator for node in market_queries.nodes_able(task.job.cooperative, needs).able):
        return dataclasses.replace(needs, node_ids=frozenset(str(node.pk) for node in eligible))
    return dataclasses.replace(needs, excluded_owners=_barred(task))


def others_able(task: Task) -> list[Node]:
    """Working nodes of others than the submitter that could run the task and whose owners may still take it."""
    barred = _barred(task)
    return [
        node
        for node in market_queries.nodes_able(task.job.cooperative, needs_of(task.job.request)).able
        if node.state in states.WORKING
        and node.operator.user_id != task.job.submitter.user_id
        and nodes.execution_owner(node) not in barred
    ]


def own_able(task: Task) -> bool:
    """Whether a working node of the submitter's own could run the task."""
    return any(
        node.state in states.WORKING and node.operator.user_id == task.job.submitter.user_id
        for node in market_queries.nodes_able(task.job.cooperative, needs_of(task.job.request)).able
    )


def _barred(task: Task) -> frozenset[str]:
    return failures.barred(task.attempts.order_by("pk").values_list("owner_key", "state"))


def give_back(job: Job, *, now: datetime) -> None:
    """Cancel what the job still wants to buy and end its leases."""
    market.cancel_orders_of(reference=job.reference)
    live = Lease.objects.filter(reference=job.reference, state=Lease.State.LIVE)
    market.end_leases(lease_ids=list(live.values_list("pk", flat=True)), reason="job_finished", now=now)


@transaction.atomic
def end_useless_leases(*, now: datetime) -> int:
    """End leases whose node is dark, draining without work or not working, and those that serve no job any more.

    Returns how many ended.
    """
    ended = 0
    for reason, lease_ids in _useless(now):
        ids = list(lease_ids)
        if ids:
            market.end_leases(lease_ids=ids, reason=reason, now=now)
            ended += len(ids)
    return ended


def _useless(now: datetime) -> Iterable[tuple[str, Iterable[int]]]:
    live = Lease.objects.filter(state=Lease.State.LIVE, reference__startswith="job:")
    dark = Q(node__last_seen_at__lt=now - timedelta(seconds=nodes.DARK_SECONDS)) | Q(node__last_seen_at__isnull=True)
    working = Exists(Attempt.objects.filter(lease=OuterRef("pk"), state=Attempt.State.RUNNING))
    yield "node_dark", live.filter(dark).values_list("pk", flat=True)
    yield (
        "node_not_working",
        live.exclude(node__state__in=states.WORKING).exclude(working).values_list("pk", flat=True),
    )
    references = live.values_list("reference", flat=True).distinct()
    closed = Job.objects.filter(
        pk__in=[int(reference.removeprefix("job:")) for reference in references], closed_at__isnull=False
    )
    # an order may have filled while the job was closing
    yield "job_finished", live.filter(reference__in=[job.reference for job in closed]).values_list("pk", flat=True)
    idle_since = now - timedelta(seconds=IDLE_SECONDS)
    worked_at = Greatest("attempts__claimed_at", "attempts__submitted_at", "attempts__finished_at")
    idle = (
        live.filter(opened_at__lt=idle_since)
        .exclude(working)
        .annotate(last_work_at=Max(worked_at))
        .filter(Q(last_work_at__isnull=True) | Q(last_work_at__lt=idle_since))
    )
    yield "lease_idle", idle.values_list("pk", flat=True)


@transaction.atomic
def replenish(*, job_id: int, now: datetime) -> None:
    """Buy what an unfinished job lacks, for instance after a node went dark. Safe to run twice."""
    job = Job.objects.select_for_update(no_key=True).get(pk=job_id)
    buy_missing(job, now=now)
