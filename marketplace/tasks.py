"""What Celery does for the market: short, safe to run twice and late."""

from celery import shared_task

from common.clock import database_now
from marketplace import services


@shared_task
def sample_pools(**_: object) -> None:
    """Note how much of each pool is there and in use."""
    services.sample_pools(now=database_now())
