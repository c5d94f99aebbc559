"""Three ways to get some work done with what is offered now: at the least price, just in time, as fast as possible."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 3600


@dataclass(frozen=True)
class Ask:
    """Lots that one owner offers at one price per core-hour."""

    price_micro: int
    lots: int
    owner: str


@dataclass(frozen=True)
class Offer:
    """`kind` is cheapest, balanced or fastest. Costs are micro-credits for the work as a whole."""

    kind: str
    lots: int
    worst_micro: int
    """The greatest price among the lots: the limit that gets them all."""
    cost_micro: int
    seconds: int
    is_in_time: bool


def offers(asks: Sequence[Ask], *, core_seconds: int, within_seconds: int, owners: int = 1) -> list[Offer]:
    """The ways that differ, the cheapest first. Asks have the best price first.

    The work, all runs of it, is spread evenly over the lots, and each lot is one core. A result that several `owners`
    have to agree on needs lots of so many different ones, and none of them may carry more than its part: the number of
    lots is a multiple of theirs. With fewer on offer there is no way.
    """
    most = max(1, core_seconds // 60 // owners)
    shares = range(1, most + 1)
    reach = bisect_left(shares, True, key=lambda share: not _lots(asks, share, owners))
    if not reach:
        return []
    least = sum(_lots(asks, 1, owners))
    cheapest = bisect_left(shares[:reach], True, key=lambda share: sum(_lots(asks, share, owners)) > least * share)
    needed = min(reach, -(-core_seconds // within_seconds // owners))
    found: list[Offer] = []
    for kind, share in (("cheapest", cheapest), ("fastest", reach), ("balanced", max(cheapest, needed))):
        if all(offer.lots != share * owners for offer in found):
            found.append(_offer(kind, _lots(asks, share, owners), core_seconds, within_seconds))
    return sorted(found, key=lambda offer: (offer.cost_micro, offer.lots))


def _lots(asks: Sequence[Ask], share: int, owners: int) -> list[int]:
    """Prices of the cheapest lots, `share` x `owners` of them with at most `share` of any owner; none if too few."""
    taken: Counter[str] = Counter()
    prices: list[int] = []
    for ask in asks:
        number = min(ask.lots, share - taken[ask.owner], share * owners - len(prices))
        taken[ask.owner] += number
        prices += [ask.price_micro] * number
    return prices if len(prices) == share * owners else []


def _offer(kind: str, lots: Sequence[int], core_seconds: int, within_seconds: int) -> Offer:
    seconds = -(-core_seconds // len(lots))
    cost = -(-sum(lots) * core_seconds // (len(lots) * SECONDS))
    return Offer(kind, len(lots), lots[-1], cost, seconds, seconds <= within_seconds)
