"""Writes and reads the progress of processes, by the clock of the database."""

from django.db.models.functions import Now

from config.models import ProcessProgress


def record(*, component: ProcessProgress.Component) -> None:
    """Note that `component` did something just now. Raises: django.db.Error."""
    ProcessProgress.objects.bulk_create(
        [ProcessProgress(component=component, progressed_at=Now())],
        update_conflicts=True,
        unique_fields=["component"],
        update_fields=["progressed_at"],
    )
