"""Every change in a job's life is written down with its typed reason and shown live."""

import logging
from functools import partial

from django.db import transaction

from common import live
from scheduler.models import Job, JobEvent

logger = logging.getLogger(__name__)


def note(job: Job, reason: str, *, task_id: int | None = None, **params: int | str) -> None:
    """Add one line to the job's timeline and let pages that show it render again. Steps of the whole job are logged."""
    JobEvent.objects.create(job=job, task_id=task_id, reason=reason, params=params)
    if task_id is None:
        transaction.on_commit(partial(logger.info, "job %d: %s", job.pk, reason))
    changed(job)


def changed(job: Job) -> None:
    """Let pages that show the job, or its submitter's jobs, render again."""
    announce(job.pk, job.submitter_id)


def announce(job_id: int, submitter_id: int) -> None:
    """As `changed`, for a job whose row is not at hand."""
    live.publish(f"job.{job_id}")
    live.publish(f"jobs.{submitter_id}")
