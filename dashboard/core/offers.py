"""Three ways to get some work done with what is offered now: at the least price, just in time, as fast as possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 3600


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


def offers(
    asks: Sequence[tuple[int, int]], *, core_seconds: int, within_seconds: int, least_lots: int = 1
) -> list[Offer]:
    """The ways that differ, the cheapest first. Asks are (price per core-hour, lots), the best price first.

    The work, all runs of it, is spread evenly over the lots, and each lot is one core. A result that several owners
    have to agree on needs `least_lots`. With fewer on offer there is no way.
    """
    most = max(least_lots, core_seconds // 60)
    lots = [price for price, number in asks for _ in range(min(number, most))][:most]
    if len(lots) < max(1, least_lots):
        return []
    best = max(least_lots, sum(price == lots[0] for price in lots))
    needed = min(len(lots), max(least_lots, -(-core_seconds // within_seconds)))
    found: list[Offer] = []
    for kind, number in (("cheapest", best), ("fastest", len(lots)), ("balanced", needed)):
        if all(offer.lots != number for offer in found):
            found.append(_offer(kind, lots[:number], core_seconds, within_seconds))
    return sorted(found, key=lambda offer: (offer.cost_micro, offer.lots))


def _offer(kind: str, lots: Sequence[int], core_seconds: int, within_seconds: int) -> Offer:
    seconds = -(-core_seconds // len(lots))
    cost = -(-sum(lots) * core_seconds // (len(lots) * SECONDS))
    return Offer(kind, len(lots), lots[-1], cost, seconds, seconds <= within_seconds)
