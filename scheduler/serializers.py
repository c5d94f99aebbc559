"""What members see of jobs, as strict messages; agents speak opengrid.messages."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from common.paging import Cursor, PageQuery, YesOrNo
from opengrid.messages import Message, Natural, Positive, timestamp
from scheduler import queries
from scheduler.models import Attempt, Job, JobEvent


class TasksView(Message):
    """Tasks of a job by what they are doing now."""

    total: Natural
    accepted: Natural
    failed: Natural
    cancelled: Natural
    running: Natural


class BillView(Message):
    """What a job has cost so far, in micro-credits. `assurance_paid_micro` is not the member's to pay."""

    held_micro: Natural
    compute_micro: Natural
    royalty_micro: Natural
    total_micro: Natural
    released_micro: int
    remaining_micro: Natural
    assurance_paid_micro: Natural


class JobView(Message):
    """A job as its members see it. `reason` is a typed code; `waiting` says why nothing runs now."""

    id: Positive
    name: str
    state: str
    reason: str
    waiting: str
    assurance: str
    submitted_at: str
    finished_at: str | None
    tasks: TasksView
    bill: BillView
    spec: dict[str, Any]


class JobLine(Message):
    """A job in a list."""

    id: Positive
    name: str
    state: str
    reason: str
    assurance: str
    tasks_total: Natural
    submitted_at: str
    finished_at: str | None


class JobsQuery(PageQuery):
    """Which of the jobs the asker may see."""

    state: Literal["SUBMITTED", "QUEUED", "RUNNING", "DONE", "FAILED", "CANCELLED"] | None = Field(
        None, description="Only those in this state."
    )
    search: Annotated[str, StringConstraints(max_length=100)] = Field("", description="Part of the name.")
    own: YesOrNo | None = Field(None, description="Only one's own, or only those of others.")


class JobListReply(Message):
    """Jobs, newest first."""

    jobs: list[JobLine]
    next: str | None


class OutputsQuery(Message):
    """Which outputs; a page ends with a whole task."""

    cursor: Cursor | None = Field(None, description="`next` of the page before; leave it out for the first page.")
    name: Annotated[str, StringConstraints(max_length=100)] | None = Field(None, description="Only files of this name.")


class EstimateReply(Message):
    """What a job would cost at most, and how many nodes could run it; nothing was submitted."""

    tasks_total: Natural
    executions: Positive
    held_micro: Natural
    nodes_able: Natural
    nodes_total: Natural


class AttemptView(Message):
    """One try of a task: who, when, how long, what became of it. `claimed_` is not checked."""

    id: Positive
    task_index: Natural
    node_id: Positive
    node_name: str
    operator: str
    purpose: str
    state: str
    reason: str
    metered_ms: Natural | None
    billed_ms: Natural | None
    billed_micro: Natural | None
    result_digest: str
    receipt: dict[str, Any] | None
    receipt_signature: str
    node_public_key: str


class AttemptListReply(Message):
    """Attempts of a job, newest first."""

    attempts: list[AttemptView]
    next: str | None


class OutputView(Message):
    """A file of an accepted result."""

    task_index: Natural
    row_start: Natural | None
    row_stop: Natural | None
    name: str
    digest: str
    size_bytes: Natural


class OutputListReply(Message):
    """Files of the accepted results, by task and name."""

    outputs: list[OutputView]
    next: str | None


class EventView(Message):
    """One step in a job's life with its typed reason."""

    at: str
    reason: str
    task_index: Natural | None
    params: dict[str, Any]


class EventListReply(Message):
    """A job's timeline, newest first."""

    events: list[EventView]
    next: str | None


class SubmitReply(Message):
    """The job was taken in and its worst case held."""

    id: Positive
    state: str
    tasks_total: Natural
    held_micro: Natural


def submitted(job: Job) -> SubmitReply:
    """The answer to a submission."""
    return SubmitReply(id=job.pk, state=job.state, tasks_total=job.tasks_total, held_micro=job.held_micro)


def job_view(job: Job) -> JobView:
    """A job with progress and bill."""
    progress, bill = queries.job_progress(job), queries.bill(job)
    return JobView(
        id=job.pk,
        name=job.name,
        state=job.state,
        reason=job.reason,
        waiting=queries.waiting_reason(job),
        assurance=job.assurance,
        submitted_at=timestamp(job.submitted_at),
        finished_at=timestamp(job.finished_at) if job.finished_at else None,
        tasks=TasksView(
            total=progress.total,
            accepted=progress.accepted,
            failed=progress.failed,
            cancelled=progress.cancelled,
            running=progress.running,
        ),
        bill=BillView(
            held_micro=bill.held_micro,
            compute_micro=bill.compute_micro,
            royalty_micro=bill.royalty_micro,
            total_micro=bill.total_micro,
            released_micro=bill.released_micro,
            remaining_micro=bill.remaining_micro,
            assurance_paid_micro=bill.paid_by_assurance_micro,
        ),
        spec=job.spec,
    )


def job_line(job: Job) -> JobLine:
    """A job in a list."""
    return JobLine(
        id=job.pk,
        name=job.name,
        state=job.state,
        reason=job.reason,
        assurance=job.assurance,
        tasks_total=job.tasks_total,
        submitted_at=timestamp(job.submitted_at),
        finished_at=timestamp(job.finished_at) if job.finished_at else None,
    )


def attempt_view(attempt: Attempt) -> AttemptView:
    """One try of a task, with all that is needed to check its receipt."""
    return AttemptView(
        id=attempt.pk,
        task_index=attempt.task.index,
        node_id=attempt.node_id,
        node_name=attempt.node.name,
        operator=str(attempt.node.operator.user),
        purpose=attempt.purpose,
        state=attempt.state,
        reason=attempt.reason,
        metered_ms=attempt.metered_ms,
        billed_ms=attempt.billed_ms,
        billed_micro=attempt.billed_micro,
        result_digest=attempt.result_digest,
        receipt=attempt.receipt,
        receipt_signature=attempt.receipt_signature,
        node_public_key=attempt.node.public_key,
    )


def event_view(event: JobEvent) -> EventView:
    """One step of the timeline."""
    return EventView(
        at=timestamp(event.at),
        reason=event.reason,
        task_index=event.task.index if event.task else None,
        params=event.params,
    )
