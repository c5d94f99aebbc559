"""The random days find each of these bugs: proof that the checks can fail.

Each class is the plain book with one mistake. The days are drawn without luck (derandomised), and
the book without a mistake passes the very same days.
"""

import bisect
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from marketplace.core.effects import Effect
from marketplace.core.events import Capacity
from marketplace.core.live_orders import LiveBuy, LiveOrder, LiveSell
from marketplace.core.orders import BuyOrder, Lease, Order, Reason, SellOrder, TimeInForce
from marketplace.core.plain_book import Fill, PlainBook
from marketplace.core.snapshot import Snapshot
from tests.marketplace.core.book_machine import machine_for

THE_SAME_DAYS = settings(
    max_examples=400,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=False,
    verbosity=Verbosity.quiet,
    suppress_health_check=list(HealthCheck),
)


class LatestOfferFirst(PlainBook):
    def _add(self, live: LiveOrder) -> None:
        if isinstance(live, LiveBuy):
            super()._add(live)
            return
        self._orders[live.order.order_id] = live
        bisect.insort(self._asks, live, key=lambda ask: (ask.order.limit_price_micro, -ask.sequence))


class LatestBidFirst(PlainBook):
    def _add(self, live: LiveOrder) -> None:
        if isinstance(live, LiveSell):
            super()._add(live)
            return
        self._orders[live.order.order_id] = live
        bisect.insort(self._bids, live, key=lambda bid: (-bid.order.limit_price_micro, -bid.sequence))


class TimeBeforePrice(PlainBook):
    def _sweep(self) -> list[Effect]:
        self._bids.sort(key=lambda bid: bid.sequence)
        return super()._sweep()


class NewerOrderSetsThePrice(PlainBook):
    def _make_lease(self, fill: Fill) -> Lease:
        lease = super()._make_lease(fill)
        newer = max(fill.bid, fill.ask, key=lambda live: live.sequence)
        self._leases.close(lease.ref)
        wrong = replace(lease, price_micro=newer.order.limit_price_micro)
        self._leases.open(wrong)
        return wrong


class TradesWithItself(PlainBook):
    def _may_trade(self, buy: BuyOrder, sell: SellOrder) -> bool:
        return super()._may_trade(replace(buy, owner="nobody"), sell)


class IgnoresNeeds(PlainBook):
    def _may_trade(self, buy: BuyOrder, sell: SellOrder) -> bool:
        return buy.owner != sell.owner


class SellsLeasedLotsAgain(PlainBook):
    def _free_lots(self, node_id: str) -> int:
        node = self._nodes[node_id]
        return node.lots if node.available else 0


class SellsNodesThatAreAway(PlainBook):
    def _free_lots(self, node_id: str) -> int:
        return max(self._nodes[node_id].lots - self._leases.lots_on_node(node_id), 0)


class PlansEachOfferOfANodeAlone(PlainBook):
    def _plan(self, lots: int, pairs: Iterable[tuple[LiveBuy, LiveSell]]) -> list[Fill]:
        fills: list[Fill] = []
        for pair in pairs:
            found = super()._plan(lots, [pair])
            fills += found
            lots -= sum(fill.lots for fill in found)
        return fills


class IgnoresTheSpread(PlainBook):
    def _spread_lots(self, buy: BuyOrder, seller: str) -> int:
        return buy.lots


class SpreadsOverPastLeasesToo(PlainBook):
    def __init__(self) -> None:
        super().__init__()
        self._ever: dict[tuple[str, str], int] = {}

    def _make_lease(self, fill: Fill) -> Lease:
        key = (fill.bid.order.order_id, fill.ask.order.owner)
        self._ever[key] = self._ever.get(key, 0) + fill.lots
        return super()._make_lease(fill)

    def _spread_lots(self, buy: BuyOrder, seller: str) -> int:
        limit = buy.max_lots_per_owner or buy.lots
        return limit - self._ever.get((buy.order_id, seller), 0)


class FillsFokInPart(PlainBook):
    def _enter(self, live: LiveOrder, fills: list[Fill]) -> list[Effect]:
        if live.order.time_in_force is TimeInForce.FOK:
            live.order = replace(live.order, time_in_force=TimeInForce.IOC)
        return super()._enter(live, fills)


class NeverFillsFok(PlainBook):
    def _enter(self, live: LiveOrder, fills: list[Fill]) -> list[Effect]:
        fok = live.order.time_in_force is TimeInForce.FOK
        return super()._enter(live, [] if fok else fills)


class LetsIocRest(PlainBook):
    def _enter(self, live: LiveOrder, fills: list[Fill]) -> list[Effect]:
        if live.order.time_in_force is TimeInForce.IOC:
            self._add(live)
            return self._trade(fills)
        return super()._enter(live, fills)


class TakesTooLittle(PlainBook):
    def _plan(self, lots: int, pairs: Iterable[tuple[LiveBuy, LiveSell]]) -> list[Fill]:
        return super()._plan(lots, pairs)[:1]


class RenewedOfferQueuesAgain(PlainBook):
    def _renew(self, lease: Lease) -> list[Effect]:
        effects = super()._renew(lease)
        ask = self._orders.get(lease.sell_order_id)
        if effects and isinstance(ask, LiveSell):
            self._remove(ask)
            ask.sequence = self._sequence
            self._add(ask)
        return effects


class ForgetsToRenew(PlainBook):
    def _renew(self, lease: Lease) -> list[Effect]:
        return []


class RenewsEveryOffer(PlainBook):
    def _renew(self, lease: Lease) -> list[Effect]:
        ask = self._orders.get(lease.sell_order_id)
        if isinstance(ask, LiveSell) and not ask.order.standing:
            ask.open_lots += lease.lots
        return super()._renew(lease)


class SleepsWhenLotsComeBack(PlainBook):
    def _return(self, ref: str, reason: str) -> list[Effect]:
        effects = super()._return(ref, reason)
        return effects[:2]


class NeverSweeps(PlainBook):
    def _sweep(self) -> list[Effect]:
        return []


class TradesWhileHalted(PlainBook):
    def _refusal(self, order: Order) -> Reason | None:
        reason = super()._refusal(order)
        return None if reason is Reason.MARKET_HALTED else reason


class KeepsOffersOfTheFormerOwner(PlainBook):
    def _set_capacity(self, report: Capacity) -> list[Effect]:
        last = self._nodes.get(report.node_id, report)
        owner = last.owner
        features = replace(report.features, owner=owner)
        return super()._set_capacity(replace(report, features=features))


class AcceptsAnIdTwice(PlainBook):
    def _is_in_use(self, order_id: str) -> bool:
        return order_id in self._orders


class CancelsWithoutAWord(PlainBook):
    def _cancel(self, order_id: str, reason: str) -> list[Effect]:
        effects = super()._cancel(order_id, reason)
        return effects if order_id in self._orders else []


class ForgetsLeasesOnRestart(PlainBook):
    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> "ForgetsLeasesOnRestart":
        return super().from_snapshot(replace(snapshot, leases=()))


class MiscountsAfterRestart(PlainBook):
    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> "MiscountsAfterRestart":
        book = super().from_snapshot(snapshot)
        book._leases._on_node.clear()
        return book


BUGS = [
    found
    for found in globals().values()
    if isinstance(found, type) and issubclass(found, PlainBook) and found is not PlainBook
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug: type[PlainBook]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine_for(bug), settings=THE_SAME_DAYS)


def test_the_book_without_a_planted_bug_passes_the_same_days() -> None:
    run_state_machine_as_test(machine_for(PlainBook), settings=THE_SAME_DAYS)
