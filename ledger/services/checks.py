"""Checking the books, and stopping payouts when they are wrong."""

from django.db import transaction

from common import errors
from common.words import said as _
from ledger import queries
from ledger.models import PayoutFreeze, PayoutFreezeLift
from ledger.queries import Difference


class NothingFrozen(errors.Conflict):
    """There is no freeze to lift."""

    code = "nothing_frozen"
    title = _("Payouts are not frozen")


@transaction.atomic
def check_ledger() -> list[Difference]:
    """Recompute everything from the postings; freeze payouts and return what differs, if anything does.

    A freeze that says the same and was not lifted is not repeated. A freeze ends by a person's decision
    alone, even if the books balance again.
    """
    differences = queries.find_differences()
    if differences:
        findings = "\n".join(str(difference) for difference in differences)
        if not PayoutFreeze.objects.filter(lift__isnull=True, findings=findings).exists():
            PayoutFreeze.objects.create(findings=findings)
    return differences


@transaction.atomic
def lift_payout_freeze(*, lifted_by: str, reason: str) -> int:
    """End every freeze there is now and return how many; the next check freezes again what still differs.

    Raises: NothingFrozen, errors.Invalid without a name or a reason.
    """
    if not lifted_by.strip() or not reason.strip():
        raise errors.Invalid("a freeze is lifted by a named person for a stated reason")
    open_freezes = PayoutFreeze.objects.filter(lift__isnull=True).order_by("id")
    lifts = [PayoutFreezeLift(freeze=freeze, lifted_by=lifted_by, reason=reason) for freeze in open_freezes]
    if not lifts:
        raise NothingFrozen()
    return len(PayoutFreezeLift.objects.bulk_create(lifts, ignore_conflicts=True))
