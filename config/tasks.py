"""The heartbeat of the worker: proof in PostgreSQL that tasks are consumed, not merely a pid."""

from typing import Any

from celery import shared_task

from config import progress
from config.models import ProcessProgress


@shared_task(name="config.tasks.record_progress")
def record_progress(**_: Any) -> None:
    """Run every few seconds by beat; a row that stands still makes the watchdog act."""
    progress.record(component=ProcessProgress.Component.WORKER)
