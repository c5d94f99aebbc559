"""Facts about participants before they are recorded, and how they become a score."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from common import errors
from common.words import said as _
from opengrid import score

UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
EARLIEST_AT: Final = UNIX_EPOCH + score.EPOCH_MS * MILLISECOND
NEWCOMER_MICRO: Final = score.from_strengths(0.0, 0.0)
"""The score of a participant about whom nothing is known."""


class BadEvidence(errors.Invalid):
    """The fact cannot be scored."""

    code = "bad_evidence"
    title = _("This cannot be evidence")


@dataclass(frozen=True, slots=True)
class NewEvidence:
    """One fact about a node. `reference` names what it is about: once per reference and dimension."""

    node_id: int
    dimension: str
    success: bool
    reason: str
    reference: str
    at: datetime
    weight_milli: int = 1000


@dataclass(frozen=True, slots=True)
class NewContribution:
    """Verified work a member brought in: COMPUTE in unit-milliseconds, MODEL in accepted tasks."""

    membership_id: int
    kind: str
    quantity: int
    earned_micro: int
    reference: str
    at: datetime
    node_id: int | None = None
    """The machine that did the work, for COMPUTE."""


def check(evidence: NewEvidence) -> NewEvidence:
    """Return `evidence` if a score can be made of it. Raises: BadEvidence."""
    if evidence.dimension not in set(score.Dimension):
        raise BadEvidence(f"found dimension {evidence.dimension!r}; accepted are {', '.join(score.Dimension)}")
    if not 1 <= evidence.weight_milli <= score.MAX_WEIGHT_MILLI:
        raise BadEvidence(f"found weight {evidence.weight_milli}; 1 to {score.MAX_WEIGHT_MILLI} milli are accepted")
    if evidence.at.tzinfo is None or evidence.at < EARLIEST_AT:
        raise BadEvidence(f"found {evidence.at.isoformat()}; accepted are times with zone from {EARLIEST_AT} on")
    return evidence


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds of the Unix epoch at an aware `moment`."""
    return (moment - UNIX_EPOCH) // MILLISECOND


def item(evidence: NewEvidence) -> score.EvidenceItem:
    """The fact as the public formula takes it."""
    return score.EvidenceItem(
        unix_ms(evidence.at), score.Dimension(evidence.dimension), evidence.success, evidence.weight_milli
    )


def add_all(tally: score.Tally, facts: Iterable[NewEvidence]) -> score.Tally:
    """The tally of one dimension with these facts of the same dimension added."""
    for fact in facts:
        tally = tally.add(item(fact))
    return tally


def score_moment(now: datetime, facts: Iterable[NewEvidence], *, not_before: datetime) -> datetime:
    """When a score is computed: now, but never before a fact in it nor before the last computation.

    Facts carry the time of the transaction that saw them, which may be a moment after another's `now`.
    """
    return max(now, not_before, *(fact.at for fact in facts))
