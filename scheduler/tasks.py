"""What Celery does for the scheduler: short, idempotent, safe to run twice and late."""

import logging
from collections.abc import Callable, Iterable

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from common.clock import database_now
from scheduler import queries
from scheduler.services import capacity, endings, jobs, stuck, verdicts

DRAIN_LIMIT = 500

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
def finish_job(*, job_id: int, **_: object) -> None:
    """End a job whose tasks have all ended."""
    jobs.finish_if_over(job_id=job_id, now=database_now())


@shared_task
def drain(**_: object) -> None:
    """Do from PostgreSQL what no message announced: expand, verify, buy missing lots, finish."""
    _each(queries.expandable(), lambda job_id: jobs.expand_job(job_id=job_id, now=database_now()))
    _each(queries.verifiable(DRAIN_LIMIT), lambda task_id: verdicts.verify_task(task_id=task_id, now=database_now()))
    _each(queries.unfinished(), _finish_or_replenish)


@shared_task
def reap(**_: object) -> None:
    """Take back lost attempts and end leases that serve nobody."""
    endings.reap(now=database_now())
    capacity.end_useless_leases(now=database_now())


@shared_task
def give_up(**_: object) -> None:
    """Fail tasks that wait for an owner who is not there."""
    stuck.give_up(now=database_now())


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
