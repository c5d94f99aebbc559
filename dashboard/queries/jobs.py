"""Reads of jobs for the pages, beyond what the scheduler itself tells: lists, waits, lines of the bill, steps."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min, Q, QuerySet, Sum

from dashboard.core import strip
from dashboard.queries.viewer import Viewer
from marketplace.models import Lease, Order
from nodes.models import Node
from registry.models import ModelVersion
from scheduler import queries as scheduler
from scheduler.models import Attempt, Job, JobEvent, Task

UNFINISHED = (Job.State.SUBMITTED, Job.State.QUEUED, Job.State.RUNNING)
FILTERS: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "open": UNFINISHED,
    "done": (Job.State.DONE,),
    "failed": (Job.State.FAILED, Job.State.CANCELLED),
}
PAGE_ROWS = 25
EXPORT_ROWS = 500
COUNTED_JOBS = 1000
ATTEMPT_ROWS = 50
EVENT_ROWS = 50
LOG_ROWS = 5
FORECAST_FROM_TASKS = 3


@dataclass(frozen=True)
class JobRow:
    """One line of a list of jobs: tasks that ended well and badly, and what is billed so far."""

    job: Job
    accepted: int
    failed: int
    billed_micro: int

    @property
    def ended(self) -> int:
        """Tasks that will not change any more, as far as a list tells."""
        return self.accepted + self.failed


def in_flight(viewer: Viewer, limit: int = 8) -> list[JobRow]:
    """The viewer's own jobs that have not ended, newest first. Three queries."""
    rows = Job.objects.filter(submitter=viewer.membership, state__in=UNFINISHED)
    return _rows(rows.select_related("submitter__user").order_by("-pk")[:limit])


def listed(
    viewer: Viewer, state_filter: str, before: int | None = None, *, q: str = "", is_oldest_first: bool = False
) -> tuple[list[JobRow], int | None]:
    """A page of jobs, newest first unless asked otherwise, and the cursor of the next page. Three queries.

    Raises: KeyError for an unknown filter.
    """
    rows = filtered(viewer, state_filter, q)
    if before is not None:
        rows = rows.filter(pk__gt=before) if is_oldest_first else rows.filter(pk__lt=before)
    ordered = rows.select_related("submitter__user").order_by("pk" if is_oldest_first else "-pk")
    page = list(ordered[: PAGE_ROWS + 1])
    return _rows(page[:PAGE_ROWS]), page[PAGE_ROWS - 1].pk if len(page) > PAGE_ROWS else None


def filtered(viewer: Viewer, state_filter: str, q: str = "") -> QuerySet[Job]:
    """The jobs that the viewer may see, in a state, with a word in their name or that number.

    Raises: KeyError for an unknown filter.
    """
    rows = scheduler.visible_jobs(viewer.membership)
    if FILTERS[state_filter]:
        rows = rows.filter(state__in=FILTERS[state_filter])
    if q:
        named = Q(name__icontains=q)
        rows = rows.filter(named | Q(pk=int(q)) if q.isascii() and q.isdigit() and len(q) <= 18 else named)
    return rows


def counts(viewer: Viewer) -> tuple[dict[str, int], bool]:
    """Filter -> how many of the latest COUNTED_JOBS jobs it shows, and whether there are more. One query."""
    latest = scheduler.visible_jobs(viewer.membership).order_by("-pk").values_list("state", flat=True)
    states = Counter(latest[: COUNTED_JOBS + 1])
    found = {name: sum(states[state] for state in wanted) for name, wanted in FILTERS.items() if wanted}
    total = states.total()
    return found | {"all": min(total, COUNTED_JOBS)}, total > COUNTED_JOBS


def exported(viewer: Viewer, state_filter: str, q: str) -> Iterator[JobRow]:
    """Every job of a list, newest first, read EXPORT_ROWS at a time."""
    before: int | None = None
    while True:
        rows = filtered(viewer, state_filter, q).select_related("submitter__user").order_by("-pk")
        page = _rows((rows if before is None else rows.filter(pk__lt=before))[:EXPORT_ROWS])
        yield from page
        if len(page) < EXPORT_ROWS:
            return
        before = page[-1].job.pk


def _rows(jobs: Iterable[Job]) -> list[JobRow]:
    jobs = list(jobs)
    tasks = Task.objects.filter(job__in=jobs).values("job").order_by("job")
    counts = {
        row["job"]: row
        for row in tasks.annotate(
            accepted=Count("pk", filter=Q(state=Task.State.ACCEPTED)),
            failed=Count("pk", filter=Q(state__in=(Task.State.FAILED, Task.State.CANCELLED))),
        )
    }
    bought = Attempt.objects.filter(
        task__job__in=jobs, purpose=Attempt.Purpose.BOUGHT, billed_micro__isnull=False
    ).values("task__job")
    billed = {row["task__job"]: row["sum"] for row in bought.annotate(sum=Sum("billed_micro")).order_by("task__job")}
    nothing = {"accepted": 0, "failed": 0}
    return [
        JobRow(
            job=job,
            accepted=counts.get(job.pk, nothing)["accepted"],
            failed=counts.get(job.pk, nothing)["failed"],
            billed_micro=billed.get(job.pk, 0) + job.royalty_micro * counts.get(job.pk, nothing)["accepted"],
        )
        for job in jobs
    ]


@dataclass(frozen=True)
class Progress:
    """Where the tasks of a job stand, as counts and as the cells of its strip."""

    counts: Mapping[str, int]
    total: int
    cells: str
    """See `dashboard.core.strip.runs`."""
    seconds_left: int | None
    done_at: datetime | None

    @property
    def ended(self) -> int:
        """Tasks that will not change any more."""
        return sum(self.counts.get(state, 0) for state in ("ACCEPTED", "FAILED", "CANCELLED"))

    @property
    def legend(self) -> list[tuple[str, int]]:
        """The states that occur, with how many tasks are in each."""
        return [(state, self.counts[state]) for state in reversed(strip.WORST_FIRST) if self.counts.get(state)]

    @property
    def tasks_per_cell(self) -> int:
        """How many tasks one cell stands for."""
        return strip.tasks_per_cell(self.total)

    @property
    def height(self) -> str:
        """Room for the strip, known before it is drawn, so that nothing moves: small, medium or large."""
        cells = self.total // self.tasks_per_cell
        return "small" if cells <= 60 else "medium" if cells <= 240 else "large"


def progress(viewer: Viewer, job: Job) -> Progress:
    """Where each task of a job stands. At most three queries."""
    letters = scheduler.task_states(job)
    counts = strip.counts(letters)
    seconds = _seconds_left(viewer, job, counts)
    return Progress(
        counts=counts,
        total=job.tasks_total,
        cells=strip.runs(strip.cells(letters)),
        seconds_left=seconds,
        done_at=None if seconds is None else viewer.now + timedelta(seconds=seconds),
    )


def _seconds_left(viewer: Viewer, job: Job, counts: Mapping[str, int]) -> int | None:
    """At the pace since the first claim; None until enough tasks have ended to say something honest."""
    ended = counts.get("ACCEPTED", 0) + counts.get("FAILED", 0)
    if job.state != Job.State.RUNNING or ended < FORECAST_FROM_TASKS:
        return None
    first = Attempt.objects.filter(task__job=job).aggregate(at=Min("claimed_at"))["at"]
    return int((viewer.now - first).total_seconds() * (job.tasks_total - ended) / ended)


@dataclass(frozen=True)
class Wait:
    """Why a job does not run now, and the cheapest offer on its book, if there is one."""

    reason: str
    cheapest_micro: int | None


def wait(job: Job) -> Wait | None:
    """What a job waits for; None when it runs or has ended."""
    reason = scheduler.waiting_reason(job)
    if not reason:
        return None
    if Lease.objects.filter(reference=job.reference, state=Lease.State.LIVE).exists():
        return Wait("waiting_for_claim" if reason == "waiting_for_capacity" else reason, None)
    offers = Order.objects.filter(
        book__in=Order.objects.filter(reference=job.reference).values("book"),
        side=Order.Side.SELL,
        state__in=(Order.State.OPEN, Order.State.PARTIALLY_FILLED),
        open_lots__gt=0,
    )
    cheapest = offers.aggregate(price=Min("price_micro"))["price"]
    if reason == "waiting_for_capacity":
        reason = _market_reason(job, cheapest)
    return Wait(reason, cheapest)


def _market_reason(job: Job, cheapest_micro: int | None) -> str:
    if cheapest_micro is None:
        return "nothing_offered"
    return "offers_above_limit" if cheapest_micro > job.limit_price_micro else "offers_do_not_fit"


def nodes_running(job: Job) -> int:
    """How many nodes run tasks of the job now."""
    running = Attempt.objects.filter(task__job=job, state=Attempt.State.RUNNING)
    return running.values("node").distinct().count()


@dataclass(frozen=True)
class BillLine:
    """What one node's bought executions cost at one price."""

    node_id: int
    node_name: str
    price_micro: int
    executions: int
    billed_ms: int
    billed_micro: int


def bill_lines(job: Job) -> list[BillLine]:
    """The compute part of the bill, by node and price. Sums to `scheduler.queries.bill(job).compute_micro`."""
    bought = Attempt.objects.filter(task__job=job, purpose=Attempt.Purpose.BOUGHT, billed_micro__isnull=False)
    rows = bought.values("node_id", "node__name", "price_micro").annotate(
        executions=Count("pk"), ms=Sum("billed_ms"), micro=Sum("billed_micro")
    )
    return [
        BillLine(row["node_id"], row["node__name"], row["price_micro"], row["executions"], row["ms"], row["micro"])
        for row in rows.order_by("node__name", "node_id", "price_micro")
    ]


def task(viewer: Viewer, job_id: int, index: int) -> Task:
    """One task of a job that the viewer may see, with its attempts. Raises: errors.NotFound."""
    return scheduler.task_of(scheduler.job_for(viewer.membership, job_id), index)


def log_tails(job: Job) -> list[Attempt]:
    """The attempts that printed something last, the newest first, at most LOG_ROWS."""
    rows = scheduler.attempts_of(job).exclude(reported_log_tail="", detail="")
    return list(rows[:LOG_ROWS])


def attempts(job: Job) -> tuple[list[Attempt], int]:
    """The latest attempts of a job, newest first, and how many there are."""
    rows = scheduler.attempts_of(job)
    return list(rows[:ATTEMPT_ROWS]), rows.count()


@dataclass(frozen=True)
class Step:
    """One step of a job's life, and the name of the node it speaks of, if any."""

    event: JobEvent
    node_name: str


def timeline(job: Job) -> list[Step]:
    """The latest steps of a job's life, newest first. Two queries."""
    events = list(scheduler.timeline(job, EVENT_ROWS).select_related("task"))
    spoken_of = {event.params["node"] for event in events if "node" in event.params}
    names = dict(Node.objects.filter(pk__in=spoken_of).values_list("pk", "name")) if spoken_of else {}
    return [Step(event, names.get(event.params.get("node"), "")) for event in events]


def model_versions(viewer: Viewer) -> QuerySet[ModelVersion]:
    """Versions that a job of the viewer may name, by model, newest first."""
    rows = ModelVersion.objects.filter(model__cooperative_id=viewer.cooperative_id, withdrawn_at__isnull=True)
    return rows.select_related("model").order_by("model__name", "-pk")


def lately_failed(viewer: Viewer, limit: int = 3) -> list[Job]:
    """The viewer's jobs that failed within the last day, newest first."""
    since = viewer.now - timedelta(days=1)
    rows = Job.objects.filter(submitter=viewer.membership, state=Job.State.FAILED, finished_at__gte=since)
    return list(rows.order_by("-pk")[:limit])
