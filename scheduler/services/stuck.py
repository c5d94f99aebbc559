"""Tasks that nobody can finish any more are failed, so that no hold and no result waits for ever."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q
from django.db.models.functions import Greatest

from nodes import queries as nodes
from scheduler.core import failures
from scheduler.models import Attempt, Job, Task
from scheduler.services import capacity, endings

PATIENCE_SECONDS = 600
"""How long nothing may have happened to a task before it is asked whether anything still can."""

logger = logging.getLogger(__name__)


def give_up(*, now: datetime) -> int:
    """Fail the tasks that wait for an owner who is not there, each in a transaction of its own.

    Returns how many failed. Safe to run twice and at once.
    """
    failed = 0
    for task_id in _quiet(now):
        try:
            failed += _give_up_on(task_id, now)
        except Exception:
            logger.exception("task %s could not be given up, the others go on", task_id)
    return failed


def _quiet(now: datetime) -> list[int]:
    """Open tasks that wait to be handed out again and to which nothing has happened for PATIENCE_SECONDS."""
    last = Max(Greatest("attempts__claimed_at", "attempts__submitted_at", "attempts__finished_at"))
    found = Task.objects.filter(open_executions__gt=0, attempts__isnull=False).annotate(
        last_at=last, running=Count("attempts", filter=Q(attempts__state=Attempt.State.RUNNING))
    )
    quiet = found.filter(running=0, last_at__lt=now - timedelta(seconds=PATIENCE_SECONDS))
    return list(quiet.order_by("pk").values_list("pk", flat=True))


@transaction.atomic
def _give_up_on(task_id: int, now: datetime) -> bool:
    """Judge one task under its lock.

    1. Results wait: somebody else must be there now to finish it, and the job must still be wanted.
    2. No results: somebody must be left who may take it, there or not; the member can cancel meanwhile.
    """
    task = (
        Task.objects.select_for_update(no_key=True, of=("self",))
        .select_related("job__cooperative", "job__submitter")
        .get(pk=task_id)
    )
    attempts = list(task.attempts.order_by("pk"))
    if not task.open_executions or any(attempt.state == Attempt.State.RUNNING for attempt in attempts):
        return False
    reason = _reason(task, attempts, now)
    if reason is None:
        return False
    endings.fail_task(task, reason=reason, now=now)
    return True


def _reason(task: Task, attempts: list[Attempt], now: datetime) -> str | None:
    eligible = capacity.others_able(task)
    if not any(attempt.state == Attempt.State.SUBMITTED for attempt in attempts):
        barred = failures.barred((attempt.owner_key, attempt.state) for attempt in attempts)
        return "attempts_exhausted" if barred and not eligible and not capacity.own_able(task) else None
    if task.job.state == Job.State.CANCELLED:
        return "cancelled_by_member"
    if any(not nodes.is_dark(node, now) for node in eligible):
        return None
    return "no_third_owner" if task.tie_breaks else "no_other_owner"
