"""What beat runs for reputation."""

from typing import Any

from celery import shared_task

from common import clock
from reputation import queries, services


@shared_task(name="reputation.tasks.rescore_pending")
def rescore_pending(**_: Any) -> None:
    """Every few seconds: bring scores up to what was recorded since they were computed."""
    services.rescore(node_ids=queries.nodes_with_pending_evidence(), now=clock.database_now())


@shared_task(name="reputation.tasks.record_uptime")
def record_uptime(**_: Any) -> None:
    """Once a minute: evidence of who was there."""
    services.record_uptime(now=clock.database_now())
