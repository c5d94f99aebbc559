"""Leases that end."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from common import live
from marketplace.core import events
from marketplace.models import BookInput, Lease


@transaction.atomic
def end_leases(*, lease_ids: Iterable[int], reason: str, now: datetime) -> int:
    """End live leases: no more work on them at once; the matcher takes the lots back. Returns how many ended now."""
    ended = 0
    for lease in Lease.objects.filter(pk__in=lease_ids).select_related("trade", "book").order_by("pk"):
        if not Lease.objects.filter(pk=lease.pk, state=Lease.State.LIVE).update(
            state=Lease.State.ENDING, ended_at=now, end_reason=reason
        ):
            continue
        BookInput.objects.create(
            book=lease.book,
            kind=BookInput.Kind.RETURN,
            payload=events.Return(lease.trade.ref, reason).to_dict(),
        )
        live.wake_matcher(lease.book.pool_id)
        ended += 1
    return ended
