"""What an attempt says about the node that made it."""

from collections.abc import Iterable
from datetime import datetime

from reputation import services as reputation
from reputation.services import NewEvidence
from scheduler.models import Attempt


def record_delivery(attempt: Attempt, *, success: bool, reason: str, at: datetime) -> None:
    """Whether a result came; the owner's own work says nothing."""
    record_deliveries([attempt], success=success, reason=reason, at=at)


def record_deliveries(attempts: Iterable[Attempt], *, success: bool, reason: str, at: datetime) -> None:
    """As `record_delivery`, for several attempts at once."""
    items = [
        NewEvidence(
            node_id=attempt.node_id,
            dimension="delivery",
            success=success,
            reason=reason,
            reference=f"attempt:{attempt.pk}",
            at=at,
        )
        for attempt in attempts
        if attempt.purpose != Attempt.Purpose.OWN
    ]
    if items:
        reputation.record(items=items)
