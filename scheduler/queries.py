"""Reads about jobs: progress, the strip of tasks, the bill, who ran what, outputs, the timeline."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.aggregates import StringAgg
from django.db import connection
from django.db.models import Case, Count, Exists, F, OuterRef, Prefetch, Q, QuerySet, Sum, Value, When

from accounts.core import roles
from accounts.models import Membership
from common import errors
from common.words import said as _
from ledger import queries as ledger
from marketplace.models import Lease
from nodes import queries as nodes
from nodes.models import Node
from scheduler.core import failures
from scheduler.models import Attempt, AttemptOutput, Job, JobEvent, Task


@dataclass(frozen=True)
class Progress:
    """Tasks of a job by what they are doing now."""

    total: int
    accepted: int
    failed: int
    cancelled: int
    running: int

    @property
    def ended(self) -> int:
        """Tasks that will not change any more."""
        return self.accepted + self.failed + self.cancelled

    @property
    def permille(self) -> int:
        """Share of tasks that ended."""
        return 1000 * self.ended // self.total if self.total else 0


@dataclass(frozen=True)
class Bill:
    """What the job has cost so far against its hold. All amounts in micro-credits."""

    held_micro: int
    compute_micro: int
    royalty_micro: int
    released_micro: int
    remaining_micro: int
    paid_by_assurance_micro: int
    executions_billed: int
    billed_ms: int

    @property
    def total_micro(self) -> int:
        """What the member pays."""
        return self.compute_micro + self.royalty_micro


def visible_jobs(membership: Membership, *, sees_all: bool | None = None) -> QuerySet[Job]:
    """Jobs the member may see, newest first: their own, or all of the cooperative.

    `sees_all` says which; None leaves it to the member's roles. A token may do less than its bearer.
    """
    jobs = Job.objects.filter(cooperative_id=membership.cooperative_id).order_by("-pk")
    if roles.may(membership.roles, "jobs.view_all") if sees_all is None else sees_all:
        return jobs
    return jobs.filter(submitter=membership)


def jobs_matching(
    membership: Membership,
    *,
    sees_all: bool | None = None,
    state: str | None = None,
    search: str = "",
    is_own: bool | None = None,
) -> QuerySet[Job]:
    """Jobs the member may see by state, part of the name, and whether they are the member's own; newest first."""
    found = visible_jobs(membership, sees_all=sees_all)
    if state is not None:
        found = found.filter(state=state)
    if search:
        found = found.filter(name__icontains=search)
    if is_own is not None:
        own = Q(submitter=membership)
        found = found.filter(own if is_own else ~own)
    return found


def job_for(membership: Membership, job_id: int, *, sees_all: bool | None = None) -> Job:
    """A job the member may see. Raises: errors.NotFound."""
    job = (
        visible_jobs(membership, sees_all=sees_all)
        .select_related("submitter__user", "cooperative", "model_version__model")
        .filter(pk=job_id)
        .first()
    )
    if job is None:
        raise errors.NotFound(_("there is no job %(job_id)s that you may see", job_id=job_id))
    return job


def job_progress(job: Job) -> Progress:
    """Counts of the job's tasks; one query."""
    counts = Task.objects.filter(job=job).aggregate(
        accepted=Count("pk", filter=Q(state=Task.State.ACCEPTED)),
        failed=Count("pk", filter=Q(state=Task.State.FAILED)),
        cancelled=Count("pk", filter=Q(state=Task.State.CANCELLED)),
    )
    running = Attempt.objects.filter(task__job=job, state=Attempt.State.RUNNING).values("task_id").distinct().count()
    return Progress(total=job.tasks_total, running=running, **counts)


def task_states(job: Job) -> str:
    """One letter per task, by index: accepted (a), failed (f), cancelled (x), checking (c), running (r), waiting (w).

    Two queries; one aggregated text, because ten thousand rows would take longer to read than to draw.
    """
    whole = Task.objects.filter(job=job).aggregate(
        letters=StringAgg(
            Case(
                When(state=Task.State.ACCEPTED, then=Value("a")),
                When(state=Task.State.FAILED, then=Value("f")),
                When(state=Task.State.CANCELLED, then=Value("x")),
                default=Value("w"),
            ),
            delimiter="",
            order_by="index",
        )
    )
    letters = list(whole["letters"] or "")
    busy = Attempt.objects.filter(
        task__job=job, task__state=Task.State.OPEN, state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED]
    )
    for index, state in busy.values_list("task__index", "state"):
        is_running = state == Attempt.State.RUNNING
        if index < len(letters) and (is_running or letters[index] == "w"):
            letters[index] = "r" if is_running else "c"
    return "".join(letters)


def task_of(job: Job, index: int) -> Task:
    """One task of the job with its attempts, latest first. Raises: errors.NotFound."""
    attempts = Attempt.objects.select_related("node").order_by("-pk")
    task = Task.objects.filter(job=job, index=index).prefetch_related(Prefetch("attempts", attempts)).first()
    if task is None:
        raise errors.NotFound(_("job %(job)s has no task %(index)s", job=job.pk, index=index))
    return task


def bill(job: Job) -> Bill:
    """The bill as it stands: billed executions, royalties, what went back, what is still held."""
    billed = Attempt.objects.filter(task__job=job, billed_micro__isnull=False)
    bought = Q(purpose=Attempt.Purpose.BOUGHT)
    sums = billed.aggregate(
        compute=Sum("billed_micro", filter=bought, default=0),
        assurance=Sum("billed_micro", filter=~bought, default=0),
        executions=Count("pk", filter=bought),
        ms=Sum("billed_ms", filter=bought, default=0),
    )
    accepted = Task.objects.filter(job=job, state=Task.State.ACCEPTED).count()
    royalty = accepted * job.royalty_micro
    remaining = ledger.balance(job.hold_address)
    return Bill(
        held_micro=job.held_micro,
        compute_micro=sums["compute"],
        royalty_micro=royalty,
        released_micro=job.held_micro - sums["compute"] - royalty - remaining,
        remaining_micro=remaining,
        paid_by_assurance_micro=sums["assurance"],
        executions_billed=sums["executions"],
        billed_ms=sums["ms"],
    )


def attempts_of(job: Job) -> QuerySet[Attempt]:
    """Who ran what, newest first."""
    return Attempt.objects.filter(task__job=job).select_related("task", "node__operator__user").order_by("-pk")


def accepted_outputs(job: Job) -> QuerySet[AttemptOutput]:
    """Files of the accepted results, by task index and name."""
    return (
        AttemptOutput.objects.filter(attempt__task__job=job, attempt__task__accepted_attempt=F("attempt"))
        .select_related("attempt__task", "blob")
        .order_by("attempt__task__index", "name")
    )


def timeline(job: Job, limit: int = 200) -> QuerySet[JobEvent]:
    """The newest steps of the job with their reasons, newest first."""
    return job.events.order_by("-pk")[:limit]


def waiting_reason(job: Job) -> str:
    """Why a job that has tasks to run is not running any now: a typed reason, empty if it runs or has ended."""
    if job.finished_at is not None:
        return ""
    if job.state == Job.State.SUBMITTED:
        return "waiting_for_expansion"
    if Attempt.objects.filter(task__job=job, state=Attempt.State.RUNNING).exists():
        return ""
    if Task.objects.filter(job=job, open_executions__gt=0).exists():
        return "waiting_for_capacity"
    return "waiting_for_verdict"


def has_work_for(node: Node) -> bool:
    """Whether a job with a live lease on the node, or one of its owner's own, has a task to hand out."""
    mine = Attempt.objects.filter(
        task=OuterRef("pk"), owner_key=nodes.execution_owner(node), state__in=failures.COUNTING
    )
    leased = Task.objects.filter(
        ~Exists(mine), open_executions__gt=0, job__closed_at__isnull=True, job_id__in=_leased_jobs(node.pk)
    )
    return leased.exists() or untouched_tasks(node).exists()


def jobs_of_owner(node: Node) -> QuerySet[Job]:
    """Open jobs that the node's operator submitted, oldest first."""
    return Job.objects.filter(
        cooperative_id=node.cooperative_id,
        submitter__user_id=node.operator.user_id,
        state__in=[Job.State.QUEUED, Job.State.RUNNING],
    ).order_by("pk")


def untouched_tasks(node: Node) -> QuerySet[Task]:
    """Tasks of the owner's jobs that nobody has or has run, in the jobs' order."""
    return Task.objects.filter(
        job__in=jobs_of_owner(node),
        open_executions__gt=0,
        open_executions=F("wanted_results"),
        claims__lt=F("max_claims"),
    ).order_by("job_id", "draw")


def unsold_lots(node: Node) -> int:
    """Lots that are neither under a live lease nor busy with the owner's own work."""
    leased = Lease.objects.filter(node=node, state=Lease.State.LIVE).aggregate(lots=Sum("lots", default=0))["lots"]
    busy = Attempt.objects.filter(node=node, state=Attempt.State.RUNNING, purpose=Attempt.Purpose.OWN).count()
    return node.sellable_lots - int(leased) - busy


def _leased_jobs(node_id: int) -> list[int]:
    references = Lease.objects.filter(
        node_id=node_id, state=Lease.State.LIVE, reference__startswith="job:"
    ).values_list("reference", flat=True)
    return [int(reference.removeprefix("job:")) for reference in references]


def expandable() -> Iterator[int]:
    """Jobs waiting to be expanded, oldest first."""
    return Job.objects.filter(state=Job.State.SUBMITTED).order_by("pk").values_list("pk", flat=True).iterator()


def verifiable(limit: int) -> list[int]:
    """Open tasks that have the results they want, oldest first."""
    submitted = Count("attempts", filter=Q(attempts__state=Attempt.State.SUBMITTED))
    return list(
        Task.objects.filter(state=Task.State.OPEN, attempts__state=Attempt.State.SUBMITTED)
        .annotate(results=submitted)
        .filter(results__gte=F("wanted_results"))
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )


def without_open_tasks(job_ids: Iterable[int]) -> set[int]:
    """Those of the jobs that are not closed and whose tasks have all ended."""
    still_open = Task.objects.filter(job=OuterRef("pk"), state=Task.State.OPEN)
    found = Job.objects.filter(pk__in=job_ids, closed_at__isnull=True).exclude(Exists(still_open))
    return set(found.values_list("pk", flat=True))


_IN_NEED = """
WITH own AS MATERIALIZED (
  SELECT task.job_id, count(*) AS attempts FROM scheduler_attempt AS attempt
  JOIN scheduler_task AS task ON task.id = attempt.task_id
  WHERE attempt.state = 'RUNNING' AND attempt.lease_id IS NULL GROUP BY task.job_id
)
SELECT job.id FROM scheduler_job AS job
CROSS JOIN LATERAL (
  SELECT coalesce(sum(lots - filled_lots), 0) AS lots FROM marketplace_order
  WHERE reference = 'job:' || job.id AND reference <> ''
    AND state IN ('ACCEPTED', 'OPEN', 'PARTIALLY_FILLED')) AS resting
CROSS JOIN LATERAL (
  SELECT coalesce(sum(lots) FILTER (WHERE lease.state = 'LIVE'), 0) AS lots, coalesce(sum(busy.attempts), 0) AS attempts
  FROM marketplace_lease AS lease CROSS JOIN LATERAL (
    SELECT count(*) AS attempts FROM scheduler_attempt WHERE lease_id = lease.id AND state = 'RUNNING') AS busy
  WHERE lease.reference = 'job:' || job.id AND lease.state <> 'CLOSED') AS leased
CROSS JOIN LATERAL (
  SELECT coalesce(sum(open_executions), 0) AS lots FROM (
    SELECT open_executions FROM scheduler_task WHERE job_id = job.id AND open_executions > 0 LIMIT job.max_parallel
  ) AS first_few) AS runnable
WHERE job.closed_at IS NULL AND job.state <> 'SUBMITTED' AND (
  job.state NOT IN ('QUEUED', 'RUNNING')
  OR NOT EXISTS (SELECT FROM scheduler_task WHERE job_id = job.id AND state = 'OPEN')
  OR runnable.lots > 0 AND leased.lots + resting.lots < least(job.max_parallel, runnable.lots + leased.attempts
    + coalesce((SELECT attempts FROM own WHERE own.job_id = job.id), 0))
  OR resting.lots = 0
    AND EXISTS (SELECT FROM scheduler_task WHERE job_id = job.id AND open_executions > 0 AND claims > 0))
ORDER BY job.id
"""


def in_need() -> list[int]:
    """Open jobs that may be over, may lack lots, or have a task that those present may not take, oldest first.

    One look at indexes for all of them, so that jobs for which there is nothing to do cost no transaction each.
    """
    with connection.cursor() as cursor:
        cursor.execute(_IN_NEED)
        return [pk for (pk,) in cursor.fetchall()]


def may_fetch(node_id: int, digest: str) -> bool:
    """Whether a node may fetch a blob: input, bundle or model file of an attempt it is running."""
    running = Attempt.objects.filter(node_id=node_id, state=Attempt.State.RUNNING)
    return running.filter(
        Q(task__input__digest=digest)
        | Q(task__job__bundle__digest=digest)
        | Q(task__job__model_version__files__blob__digest=digest)
    ).exists()


def counts_since(membership: Membership, since: datetime) -> dict[str, int]:
    """Jobs of a member that ended since a moment, by state."""
    rows = (
        Job.objects.filter(submitter=membership, finished_at__gte=since)
        .values("state")
        .annotate(number=Count("pk"))
        .order_by("state")
    )
    return {row["state"]: row["number"] for row in rows}


def jobs_between(start: datetime, end: datetime) -> int:
    """How many jobs were submitted from `start` to before `end`, by all members; from the index alone."""
    return Job.objects.filter(submitted_at__gte=start, submitted_at__lt=end).count()
