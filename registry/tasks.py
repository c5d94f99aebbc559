"""Housekeeping of the file store."""

from typing import Any

from celery import shared_task

from registry import services


@shared_task(name="registry.tasks.clean_drafts")
def clean_drafts(**_: Any) -> None:
    """Remove what uploads left whose process died."""
    services.clean_drafts()
