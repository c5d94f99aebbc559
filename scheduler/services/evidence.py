"""What an attempt says about the node that made it."""

from datetime import datetime

from reputation import services as reputation
from reputation.services import NewEvidence
from scheduler.models import Attempt


def record_delivery(attempt: Attempt, *, success: bool, reason: str, at: datetime) -> None:
    """Whether a result came; the owner's own work says nothing."""
    if attempt.purpose == Attempt.Purpose.OWN:
        return
    item = NewEvidence(
        node_id=attempt.node_id,
        dimension="delivery",
        success=success,
        reason=reason,
        reference=f"attempt:{attempt.pk}",
        at=at,
    )
    reputation.record(items=[item])
