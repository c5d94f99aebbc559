"""Orders while they live in a book: what is left of them, who comes first, at what price.

A book changes these records in place; they never leave it except as copies in a snapshot.
"""

from dataclasses import dataclass
from typing import Any

from marketplace.core import orders, wellformed
from marketplace.core.orders import BuyOrder, OrderState, SellOrder


@dataclass(slots=True, eq=False)
class LiveBuy:
    """A BUY order in a book: its sequence (time priority) and what is left of it."""

    order: BuyOrder
    sequence: int
    open_lots: int
    filled_lots: int = 0

    @property
    def state(self) -> OrderState:
        """Derived from the lots; a live order is never CANCELLED or REJECTED."""
        if self.open_lots == 0:
            return OrderState.FILLED
        return OrderState.PARTIALLY_FILLED if self.filled_lots else OrderState.OPEN


@dataclass(slots=True, eq=False)
class LiveSell:
    """A SELL offer in a book: its sequence (time priority) and what it may still sell.

    `filled_lots` counts every lot ever sold, so a standing offer's may exceed its size.
    """

    order: SellOrder
    sequence: int
    open_lots: int
    filled_lots: int = 0

    @property
    def state(self) -> OrderState:
        """Derived from the lots; a live order is never CANCELLED or REJECTED."""
        if self.open_lots == 0 and not self.order.standing:
            return OrderState.FILLED
        partly = self.open_lots < self.order.lots
        return OrderState.PARTIALLY_FILLED if partly else OrderState.OPEN


LiveOrder = LiveBuy | LiveSell


def bid_priority(bid: LiveBuy) -> tuple[int, int]:
    """Sort key of BUY orders: the highest price first, then the earliest sequence."""
    return (-bid.order.limit_price_micro, bid.sequence)


def ask_priority(ask: LiveSell) -> tuple[int, int]:
    """Sort key of SELL offers: the lowest price first, then the earliest sequence."""
    return (ask.order.limit_price_micro, ask.sequence)


def crosses(buy: BuyOrder, sell: SellOrder) -> bool:
    """Whether the buyer would pay what the seller asks."""
    return buy.limit_price_micro >= sell.limit_price_micro


def trade_price_micro(buy: LiveBuy, sell: LiveSell) -> int:
    """The price of a trade: that of the order with the earlier sequence.

    It was resting when the other arrived. The rule also covers two resting orders that meet late
    because the node was full or away: they trade at the price they would have had at once.
    """
    older = buy.order if buy.sequence < sell.sequence else sell.order
    return older.limit_price_micro


def live_to_dict(live: LiveOrder) -> dict[str, Any]:
    """The JSON form of a live order of either side."""
    return {
        "order": live.order.to_dict(),
        "sequence": live.sequence,
        "open_lots": live.open_lots,
        "filled_lots": live.filled_lots,
    }


def live_from_dict(data: object) -> LiveOrder:
    """Read the JSON form of a live order back. Raises: Malformed."""
    found = wellformed.keys(data, "order", "sequence", "open_lots", "filled_lots")
    for name, minimum in (("sequence", 1), ("open_lots", 0), ("filled_lots", 0)):
        wellformed.whole(name, found[name], minimum=minimum)
    order = orders.order_from_dict(found["order"])
    lots = (found["sequence"], found["open_lots"], found["filled_lots"])
    return LiveBuy(order, *lots) if isinstance(order, BuyOrder) else LiveSell(order, *lots)
