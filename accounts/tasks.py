"""What beat runs for accounts."""

from typing import Any

from celery import shared_task

from accounts import services
from common import clock


@shared_task(name="accounts.tasks.forget_replies")
def forget_replies(**_: Any) -> None:
    """Delete answers that were kept under idempotency keys long enough."""
    while services.forget_replies(now=clock.database_now()):
        pass
