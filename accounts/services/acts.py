"""The audit trail: what a steward does leaves a row, in the transaction that does it."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Model

from accounts.models import Membership, StewardAct
from common import trace
from common.errors import Invalid
from common.words import said as _

MOST_CHARACTERS = 500


class ReasonNeeded(Invalid):
    """Whoever acts on what belongs to somebody else says why, in 1 to 500 characters."""

    code = "reason_needed"
    title = _("A reason is needed")


def checked_reason(text: str) -> str:
    """The reason without the spaces around it. Raises: ReasonNeeded."""
    reason = text.strip()
    if not 0 < len(reason) <= MOST_CHARACTERS:
        raise ReasonNeeded(
            _(
                "found %(count)s characters; accepted are 1 to %(most_characters)s, which the person it concerns reads",
                count=len(reason),
                most_characters=MOST_CHARACTERS,
            ),
            extra={"field": "reason"},
        )
    return reason


def record_act(
    *,
    by: Membership,
    act: StewardAct.Act,
    subject: Model,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    reason: str = "",
) -> StewardAct:
    """Write down what `by` has just done to `subject`. Part of the caller's act and transaction."""
    return StewardAct.objects.create(
        cooperative_id=by.cooperative_id,
        by=by,
        act=act,
        subject_kind=subject._meta.model_name or "",
        subject_id=subject.pk,
        subject=str(subject)[:200],
        reason=reason.strip()[:MOST_CHARACTERS],
        before=dict(before),
        after=dict(after),
        request_id=trace.request_id.get()[:64],
    )
