"""Attempts that end without a result: reported failures, reaping what was lost, handing out again or giving up."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from common import errors, jobs, live
from common.words import said as _
from marketplace.models import Lease
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid.messages import ExitReason, FailureRequest
from scheduler.core import failures
from scheduler.models import Attempt, Job, Task
from scheduler.services import evidence, own_nodes, timeline
from scheduler.services.results import StaleToken

logger = logging.getLogger(__name__)


class NotAFailure(errors.Invalid):
    """The reason says that the execution went well; a result is reported as one."""

    code = "not_a_failure"
    title = _("This is not the reason of a failure")


@transaction.atomic
def report_failure(*, node: Node, attempt_id: int, request: FailureRequest, now: datetime) -> Attempt:
    """Take in that an attempt ended without a result; the task is handed out again.

    A reason that the job itself causes, confirmed by a second owner, fails the task.
    Raises: NotAFailure, StaleToken.
    """
    if request.exit_reason is ExitReason.OK:
        raise NotAFailure("found exit reason ok; accepted are all others")
    found = Attempt.objects.filter(pk=attempt_id, node=node).first()
    task = _locked_task(found.task_id) if found else None
    updated = Attempt.objects.filter(pk=attempt_id, node=node, token=request.token, state=Attempt.State.RUNNING).update(
        state=Attempt.State.FAILED, reason=request.exit_reason, detail=request.detail, finished_at=now
    )
    if task is None or not updated:
        raise StaleToken(f"attempt {attempt_id} with token {request.token} is not running on this node")
    attempt = Attempt.objects.get(pk=attempt_id)
    if request.exit_reason not in failures.JOB_CAUSED:
        evidence.record_delivery(attempt, success=False, reason=request.exit_reason, at=now)
    _reopen(task, [attempt], now=now)
    return attempt


def reap(*, now: datetime) -> int:
    """Take back what was lost: attempts past their deadline, without heartbeat, or of a node that may not work.

    Each in a transaction of its own; one that fails does not keep the others. Returns how many were taken back.
    Safe to run twice and at once.
    """
    silent = now - timedelta(seconds=nodes.DARK_SECONDS)
    running = Attempt.objects.filter(state=Attempt.State.RUNNING)
    lost = (
        (Q(deadline_at__lt=now), Attempt.State.LOST, "deadline_passed"),
        (Q(beat_at__lt=silent), Attempt.State.LOST, "node_dark"),
        (Q(node__state__in=[states.QUARANTINED, states.RETIRED]), Attempt.State.CANCELLED, "node_stopped"),
    )
    reaped = 0
    for condition, state, reason in lost:
        for attempt_id, task_id in running.filter(condition).order_by("task_id", "pk").values_list("pk", "task_id"):
            try:
                reaped += _take_back(attempt_id, task_id, condition, state, reason, now)
            except Exception:
                logger.exception("attempt %s could not be taken back, the others go on", attempt_id)
    return reaped


@transaction.atomic
def _take_back(attempt_id: int, task_id: int, condition: Q, state: str, reason: str, now: datetime) -> int:
    """Look again under the locks of task and attempt: a result or a heartbeat may have come since it was found."""
    task = _locked_task(task_id)
    running = Attempt.objects.filter(condition, pk=attempt_id, state=Attempt.State.RUNNING)
    attempt = running.select_for_update(no_key=True).first()
    if attempt is None:
        return 0
    attempt.state, attempt.reason, attempt.finished_at = state, reason, now
    attempt.save(update_fields=["state", "reason", "finished_at"])
    if state == Attempt.State.LOST:
        evidence.record_delivery(attempt, success=False, reason=reason, at=now)
    timeline.note(task.job, "attempt_lost", task_id=task.pk, node=attempt.node_id, why=reason)
    _reopen(task, [attempt], now=now)
    return 1


def _locked_task(task_id: int) -> Task:
    """A task with its job. A task is locked before its attempts and before its job's row."""
    return Task.objects.select_for_update(no_key=True, of=("self",)).select_related("job").get(pk=task_id)


def _reopen(task: Task, ended: Iterable[Attempt], *, now: datetime) -> None:
    """Hand the executions of `ended` out again, or fail the task. The caller has locked it."""
    if task.state != Task.State.OPEN:
        return
    bad = task.attempts.filter(state=Attempt.State.FAILED).values_list("owner_key", "reason")
    reason = failures.confirmed(bad)
    if reason is None and task.claims >= task.max_claims:
        still_out = task.attempts.filter(state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED]).count()
        if still_out < task.wanted_results:
            reason = "attempts_exhausted"
    if reason is not None:
        fail_task(task, reason=reason, now=now)
        return
    if any(attempt.purpose == Attempt.Purpose.OWN for attempt in ended):
        own_nodes.give_back(task)
        wake_nodes_of(task.job)
        timeline.changed(task.job)
        return
    bought = Counter(attempt.purpose for attempt in ended)
    task.open_executions += bought.total()
    task.bought_left += bought[Attempt.Purpose.BOUGHT]
    task.save(update_fields=["open_executions", "bought_left"])
    if task.job.finished_at is not None:  # cancelled meanwhile: it is not handed out again
        jobs.enqueue("scheduler.tasks.finish_job", job_id=task.job_id)
    wake_nodes_of(task.job)
    timeline.changed(task.job)


def fail_task(task: Task, *, reason: str, now: datetime) -> None:
    """End a task without a result: nobody is charged, what still runs or waits is stopped. The caller has locked it."""
    task.attempts.filter(state__in=[Attempt.State.RUNNING, Attempt.State.SUBMITTED]).update(
        state=Attempt.State.CANCELLED, reason=reason, finished_at=now
    )
    task.state = Task.State.FAILED
    task.reason = reason
    task.open_executions = 0
    task.finished_at = now
    task.save(update_fields=["state", "reason", "open_executions", "finished_at"])
    timeline.note(task.job, "task_failed", task_id=task.pk, why=reason)
    jobs.enqueue("scheduler.tasks.finish_job", job_id=task.job_id)


def wake_nodes_of(job: Job) -> None:
    """Wake the agents that have a live lease for the job."""
    for node_id in Lease.objects.filter(reference=job.reference, state=Lease.State.LIVE).values_list(
        "node_id", flat=True
    ):
        live.wake_node(node_id)
