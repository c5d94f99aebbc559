"""The public score: how sure may one be that a participant does well, from 0 to 1 in millionths.

Per dimension, score = 5 % quantile of Beta(1 + s, 1 + f), where s and f are the weights of
successes and failures, each multiplied by 2 ** (-age / 7 days). Without evidence it is 0.05.

Evidence is summed by forward decay: an item counts `weight * 2 ** ((at - EPOCH) / 7 days)` in
units of 2**-48 milli, one integer that never changes as it ages; only the total is divided by the
growth at the moment of asking. Integer sums have no order and no rounding, so a total kept by
adding each new item (or by SQL SUM) gives exactly the score that a recomputation from all evidence
gives. A total has about 20 digits at the start of 2024 and 16 more for every year since; store it
as text or NUMERIC.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from enum import StrEnum
from typing import Final

from opengrid import beta

HALF_LIFE_MS: Final = 7 * 24 * 3600 * 1000
EPOCH_MS: Final = 1_704_067_200_000
"""2024-01-01T00:00:00Z in milliseconds of the Unix epoch; no evidence is older."""
CONFIDENCE: Final = 0.05
MICRO: Final = 1_000_000
MAX_WEIGHT_MILLI: Final = 1_000_000

_FRACTION_BITS: Final = 48
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)


class Dimension(StrEnum):
    """What a score is about."""

    CORRECTNESS = "correctness"
    DELIVERY = "delivery"
    UPTIME = "uptime"


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """One recorded fact. `at_ms` is Unix time; a weight of 1000 milli is one whole fact."""

    at_ms: int
    dimension: Dimension
    success: bool
    weight_milli: int = 1000


@dataclass(frozen=True, slots=True)
class Tally:
    """All evidence of one dimension as two integers in `units`; see the module's text."""

    successes: int = 0
    failures: int = 0

    def add(self, item: EvidenceItem) -> "Tally":
        """The tally with one more item (of whatever dimension). Raises: ValueError."""
        amount = units(item.at_ms, item.weight_milli)
        if item.success:
            return Tally(self.successes + amount, self.failures)
        return Tally(self.successes, self.failures + amount)

    def strengths(self, now_ms: int) -> tuple[float, float]:
        """Decayed weights (s, f) in whole facts at `now_ms`. Raises: ValueError."""
        one_fact = units(now_ms, 1000)
        return self.successes / one_fact, self.failures / one_fact

    def score_micro(self, now_ms: int) -> int:
        """The score at `now_ms` in millionths. Raises: ValueError."""
        return from_strengths(*self.strengths(now_ms))


def units(at_ms: int, weight_milli: int) -> int:
    """What an item of this time and weight adds to a tally; it never changes afterwards.

    Raises: ValueError for a time before EPOCH_MS or a weight outside 1 to MAX_WEIGHT_MILLI.
    """
    if at_ms < EPOCH_MS:
        raise ValueError(f"found evidence at {at_ms} ms; nothing before {EPOCH_MS} ms is accepted")
    if not 1 <= weight_milli <= MAX_WEIGHT_MILLI:
        raise ValueError(f"found weight {weight_milli}; 1 to {MAX_WEIGHT_MILLI} is accepted")
    halvings, rest_ms = divmod(at_ms - EPOCH_MS, HALF_LIFE_MS)
    with localcontext(_CONTEXT):
        growth = (Decimal(2).ln() * rest_ms / HALF_LIFE_MS).exp() * 2**_FRACTION_BITS
        return weight_milli * int(growth.to_integral_value()) << halvings


def from_strengths(successes: float, failures: float) -> int:
    """The score in millionths, half to even, of decayed weights s, f >= 0 in whole facts."""
    return round(beta.quantile(1.0 + successes, 1.0 + failures, CONFIDENCE) * MICRO)


def tallies(evidence: Iterable[EvidenceItem]) -> dict[Dimension, Tally]:
    """Sum evidence; every dimension is present. Raises: ValueError."""
    totals = {dimension: Tally() for dimension in Dimension}
    for item in evidence:
        totals[item.dimension] = totals[item.dimension].add(item)
    return totals


def score(evidence: Iterable[EvidenceItem], now_ms: int) -> dict[Dimension, int]:
    """All scores at `now_ms` in millionths. Raises: ValueError for evidence dated later."""
    items = tuple(evidence)
    late = [item.at_ms for item in items if item.at_ms > now_ms]
    if late:
        raise ValueError(f"found evidence at {max(late)} ms, later than {now_ms} ms")
    return {dimension: tally.score_micro(now_ms) for dimension, tally in tallies(items).items()}
