"""What Celery does for the scheduler: short, idempotent, safe to run twice and late."""

import logging
from collections.abc import Callable, Iterable, Sequence

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from common import jobs as hints
from common.clock import database_now
from scheduler import queries
from scheduler.services import capacity, endings, jobs, stuck, verdicts

DRAIN_LIMIT = 500
VERIFY_TOGETHER = 100
"""Tasks settled in one transaction: a hold that pays for them is locked so long."""
VERIFY_ROUNDS = 50

logger = logging.getLogger(__name__)


@shared_task
def expand_job(*, job_id: int, **_: object) -> None:
    """Split a submitted job into tasks and place its order."""
    jobs.expand_job(job_id=job_id, now=database_now())


@shared_task
def verify_task(*, task_id: int, **_: object) -> None:
    """Judge and settle one task that may have its results."""
    verdicts.verify_task(task_id=task_id, now=database_now())


@shared_task
def verify_ready(**_: object) -> None:
    """Judge and settle all tasks that have their results, many at a time."""
    hints.begin("scheduler.tasks.verify_ready")
    for _round in range(VERIFY_ROUNDS):
        if not _verify(queries.verifiable(VERIFY_TOGETHER)):
            return
    hints.enqueue_once("scheduler.tasks.verify_ready")


@shared_task
def finish_job(*, job_id: int, **_: object) -> None:
    """End a job whose tasks have all ended."""
    jobs.finish_if_over(job_id=job_id, now=database_now())


@shared_task
def drain(**_: object) -> None:
    """Do from PostgreSQL what no message announced: expand, verify, buy missing lots, finish."""
    _each(queries.expandable(), lambda job_id: jobs.expand_job(job_id=job_id, now=database_now()))
    _verify(queries.verifiable(DRAIN_LIMIT))
    _each(queries.in_need(), _finish_or_replenish)


@shared_task
def reap(**_: object) -> None:
    """Take back lost attempts and end leases that serve nobody."""
    endings.reap(now=database_now())
    capacity.end_useless_leases(now=database_now())


@shared_task
def give_up(**_: object) -> None:
    """Fail tasks that wait for an owner who is not there."""
    stuck.give_up(now=database_now())


def _verify(task_ids: Sequence[int]) -> bool:
    """Settle what needs no comparison in one go, or each for itself if one of them fails; judge the rest singly.

    Returns whether more may be waiting.
    """
    if not task_ids:
        return False
    try:
        left = verdicts.settle_tasks(task_ids=task_ids, now=database_now())
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        logger.exception("tasks %s to %s could not be settled together, each goes alone", task_ids[0], task_ids[-1])
        left = list(task_ids)
    _each(left, lambda task_id: verdicts.verify_task(task_id=task_id, now=database_now()))
    return len(left) < len(task_ids)


def _finish_or_replenish(job_id: int) -> None:
    if not jobs.finish_if_over(job_id=job_id, now=database_now()):
        capacity.replenish(job_id=job_id, now=database_now())


def _each(ids: Iterable[int], act: Callable[[int], object]) -> None:
    """Do `act` for each id. One that fails is written down and tried again next time; it never stops the others."""
    for pk in ids:
        try:
            act(pk)
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            logger.exception("drain: %s failed, the others go on", pk)
