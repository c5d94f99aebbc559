"""The obviously right book: sorted lists, walked from the front. A fast one must equal this one."""

import bisect
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self, assert_never

from marketplace.core import fit, live_orders
from marketplace.core.book import Book, BrokenBook, SequenceGap
from marketplace.core.effects import (
    CancelRefused,
    CapacityChanged,
    Effect,
    LeaseClosed,
    OrderChanged,
    OrderOpened,
    OrderRejected,
    PolicyChanged,
    ReturnRefused,
    TradeMade,
)
from marketplace.core.events import Cancel, Capacity, Event, Place, Policy, Return
from marketplace.core.leases import Leases
from marketplace.core.live_orders import LiveBuy, LiveOrder, LiveSell
from marketplace.core.orders import (
    BuyOrder,
    Lease,
    Order,
    OrderState,
    Reason,
    SellOrder,
    TimeInForce,
)
from marketplace.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Fill:
    """So many lots that a BUY order and a SELL offer are about to trade."""

    bid: LiveBuy
    ask: LiveSell
    lots: int


class PlainBook(Book):
    """Price, then sequence, lot by lot where nodes can carry them.

    How an order meets the other side:

    1. Walk the other side by price, then sequence, until the prices no longer cross.
    2. Skip an order of the same owner, and a node that does not fit the buyer's needs.
    3. Plan the most lots that all of these allow: both orders, the node's free lots, and the
       buyer's limit per operator. The limit counts live leases of this order, so lots that an
       operator has given back make room again, though the order does not buy them a second time.
    4. A FOK order that is not wholly planned is cancelled here; nothing has been touched yet.
    5. Trade what was planned, each at the price of the older order, opening one lease per trade.
    6. What is left of a GTC order rests; what is left of an IOC order is cancelled.

    When room appears (a node's report, a returned lease, trading resumed), every resting BUY order
    goes through 1 to 5 once, by price, then sequence. Once is enough: trading only uses up room, so
    an order that could not trade in its turn cannot trade after it.
    """

    def __init__(self) -> None:
        self._sequence = 0
        self._halted = False
        self._nodes: dict[str, Capacity] = {}
        self._orders: dict[str, LiveOrder] = {}
        self._bids: list[LiveBuy] = []  # sorted by bid_priority
        self._asks: list[LiveSell] = []  # sorted by ask_priority; leased-out ones stay in place
        self._leases = Leases()
        self._refs: Iterator[str] = iter(())

    @property
    def sequence(self) -> int:
        """The sequence number of the last event applied; 0 for a new book."""
        return self._sequence

    def apply(self, event: Event, sequence: int) -> list[Effect]:
        """Apply the next event and return what it did, in order. Raises: SequenceGap."""
        if type(sequence) is not int or sequence != self._sequence + 1:
            raise SequenceGap(f"found event {sequence!r}; event {self._sequence + 1} is next")
        self._sequence = sequence
        self._refs = (f"{sequence}.{number}" for number in itertools.count(1))
        match event:
            case Place(order):
                return self._place(order)
            case Cancel(order_id, reason):
                return self._cancel(order_id, reason)
            case Capacity():
                return self._set_capacity(event)
            case Return(ref, reason):
                return self._return(ref, reason)
            case Policy(halted, reason):
                return self._set_policy(halted, reason)
            case _:
                assert_never(event)

    def snapshot(self) -> Snapshot:
        """The whole state as values of its own: later events do not change it."""
        return Snapshot(
            sequence=self._sequence,
            halted=self._halted,
            nodes=tuple(self._nodes.values()),
            orders=tuple(replace(live) for live in self._orders.values()),
            leases=tuple(self._leases),
        )

    def capacities(self) -> Mapping[str, Capacity]:
        """What the book last heard of each node, without copying the book."""
        return MappingProxyType(self._nodes)

    @classmethod
    def from_snapshot(cls, snapshot: Snapshot) -> Self:
        """A book in the state of a sound snapshot."""
        book = cls()
        book._sequence, book._halted = snapshot.sequence, snapshot.halted
        book._nodes = {node.node_id: node for node in snapshot.nodes}
        for live in snapshot.orders:
            book._add(replace(live))
        book._leases = Leases(snapshot.leases)
        return book

    def validate(self) -> None:
        """Check the state, and the sums and lists this book keeps beside it. Raises: BrokenBook."""
        super().validate()
        snapshot = self.snapshot()
        if not self._leases.adds_up():
            raise BrokenBook("the sums over the leases differ from the leases")
        for mine, theirs in ((self._bids, snapshot.bids), (self._asks, snapshot.asks)):
            if [live.sequence for live in mine] != [live.sequence for live in theirs]:
                raise BrokenBook("a side of the book is not in priority order")

    # Events

    def _place(self, order: Order) -> list[Effect]:
        if reason := self._refusal(order):
            return [OrderRejected(order.order_id, reason)]
        live: LiveOrder
        if isinstance(order, BuyOrder):
            live = bid = LiveBuy(order, self._sequence, order.lots)
            fills = self._plan(order.lots, ((bid, ask) for ask in self._asks))
        else:
            live = ask = LiveSell(order, self._sequence, order.lots)
            fills = self._plan(order.lots, ((bid, ask) for bid in self._bids))
        return [OrderOpened(order.order_id, self._sequence, order.lots), *self._enter(live, fills)]

    def _enter(self, live: LiveOrder, fills: list[Fill]) -> list[Effect]:
        """Trade the plan of an arriving order and do with the rest what its time in force says."""
        order = live.order
        if order.time_in_force is TimeInForce.FOK and _total(fills) < order.lots:
            return [_cancelled(live, Reason.FOK_NOT_FILLABLE)]
        self._add(live)
        effects = self._trade(fills)
        if order.time_in_force is TimeInForce.IOC and live.open_lots:
            effects.append(self._take_off(live, Reason.IOC_REMAINDER))
        return effects

    def _refusal(self, order: Order) -> Reason | None:
        if self._is_in_use(order.order_id):
            return Reason.DUPLICATE_ORDER
        if self._halted:
            return Reason.MARKET_HALTED
        if isinstance(order, SellOrder):
            return self._offer_refusal(order)
        return None

    def _offer_refusal(self, offer: SellOrder) -> Reason | None:
        if offer.node_id not in self._nodes:
            return Reason.UNKNOWN_NODE
        if offer.owner != self._nodes[offer.node_id].owner:
            return Reason.NOT_NODE_OWNER
        if offer.standing and offer.time_in_force is not TimeInForce.GTC:
            return Reason.STANDING_MUST_REST
        return None

    def _is_in_use(self, order_id: str) -> bool:
        """Whether the id means something here: a live order, or a final one with live leases."""
        return order_id in self._orders or self._leases.has_any_of(order_id)

    def _cancel(self, order_id: str, reason: str) -> list[Effect]:
        live = self._orders.get(order_id)
        if live is None:
            return [CancelRefused(order_id, Reason.ORDER_NOT_LIVE)]
        return [self._take_off(live, reason)]

    def _set_capacity(self, report: Capacity) -> list[Effect]:
        strangers = [
            ask for ask in self._asks if ask.order.node_id == report.node_id and ask.order.owner != report.owner
        ]
        self._nodes[report.node_id] = report
        leased = self._leases.lots_on_node(report.node_id)
        return [
            CapacityChanged(report.node_id, report.lots, report.available, leased, report.reason),
            *[self._take_off(ask, Reason.NODE_CHANGED_OWNER) for ask in strangers],
            *self._sweep(),
        ]

    def _return(self, ref: str, reason: str) -> list[Effect]:
        lease = self._leases.close(ref)
        if lease is None:
            return [ReturnRefused(ref, Reason.LEASE_NOT_LIVE)]
        return [LeaseClosed(lease, reason), *self._renew(lease), *self._sweep()]

    def _renew(self, lease: Lease) -> list[Effect]:
        """Give the lots of a closed lease back to its offer if that is standing and live."""
        ask = self._orders.get(lease.sell_order_id)
        if not isinstance(ask, LiveSell) or not ask.order.standing:
            return []
        ask.open_lots += lease.lots
        return [_changed(ask, Reason.LEASE_RETURNED)]

    def _set_policy(self, halted: bool, reason: str) -> list[Effect]:
        self._halted = halted
        return [PolicyChanged(halted, reason), *self._sweep()]

    # Matching

    def _sweep(self) -> list[Effect]:
        """Let resting BUY orders, the best first, trade with the offers that can sell now."""
        if self._halted:
            return []
        able = [ask for ask in self._asks if ask.open_lots and self._free_lots(ask.order.node_id)]
        effects: list[Effect] = []
        for bid in tuple(self._bids):
            if not able or not live_orders.crosses(bid.order, able[0].order):
                break
            fills = self._plan(bid.open_lots, ((bid, ask) for ask in able))
            effects += self._trade(fills)
        return effects

    def _plan(self, lots: int, pairs: Iterable[tuple[LiveBuy, LiveSell]]) -> list[Fill]:
        """What up to `lots` lots would trade among `pairs`, the best pair first; changes nothing.

        Taking the best first also finds the most that can be had at all: each lot uses an offer,
        its node and that node's owner, limits which lie one inside the other.
        """
        fills: list[Fill] = []
        on_node: Counter[str] = Counter()
        with_owner: Counter[tuple[str, str]] = Counter()
        for bid, ask in pairs:
            buy, sell = bid.order, ask.order
            if not lots or not live_orders.crosses(buy, sell):
                break
            if not self._may_trade(buy, sell):
                continue
            possible = min(
                lots,
                bid.open_lots,
                ask.open_lots,
                self._free_lots(sell.node_id) - on_node[sell.node_id],
                self._spread_lots(buy, sell.owner) - with_owner[buy.order_id, sell.owner],
            )
            if possible > 0:
                fills.append(Fill(bid, ask, possible))
                lots -= possible
                on_node[sell.node_id] += possible
                with_owner[buy.order_id, sell.owner] += possible
        return fills

    def _may_trade(self, buy: BuyOrder, sell: SellOrder) -> bool:
        features = self._nodes[sell.node_id].features
        return buy.owner != sell.owner and fit.fits(buy.needs, features)

    def _free_lots(self, node_id: str) -> int:
        """Lots the node may still put under lease."""
        node = self._nodes[node_id]
        free = node.lots - self._leases.lots_on_node(node_id)
        return max(free, 0) if node.available else 0

    def _spread_lots(self, buy: BuyOrder, seller: str) -> int:
        """Lots the order may still hold of one operator."""
        limit = buy.lots if buy.max_lots_per_owner is None else buy.max_lots_per_owner
        return limit - self._leases.lots_held(buy.order_id, seller)

    def _trade(self, fills: list[Fill]) -> list[Effect]:
        """Make the trades of a plan, then tell each order that traded what is left of it."""
        effects: list[Effect] = []
        traded: dict[str, LiveOrder] = {}
        for fill in fills:
            effects.append(TradeMade(self._make_lease(fill)))
            for live in (fill.bid, fill.ask):
                live.open_lots -= fill.lots
                live.filled_lots += fill.lots
                traded[live.order.order_id] = live
        for live in traded.values():
            filled = live.state is OrderState.FILLED
            if filled:
                self._remove(live)
            effects.append(_changed(live, Reason.FILLED if filled else Reason.TRADED))
        return effects

    def _make_lease(self, fill: Fill) -> Lease:
        buy, sell = fill.bid.order, fill.ask.order
        lease = Lease(
            ref=next(self._refs),
            buy_order_id=buy.order_id,
            sell_order_id=sell.order_id,
            buyer=buy.owner,
            seller=sell.owner,
            node_id=sell.node_id,
            lots=fill.lots,
            price_micro=live_orders.trade_price_micro(fill.bid, fill.ask),
        )
        self._leases.open(lease)
        return lease

    # Records

    def _add(self, live: LiveOrder) -> None:
        self._orders[live.order.order_id] = live
        if isinstance(live, LiveBuy):
            bisect.insort(self._bids, live, key=live_orders.bid_priority)
        else:
            bisect.insort(self._asks, live, key=live_orders.ask_priority)

    def _remove(self, live: LiveOrder) -> None:
        del self._orders[live.order.order_id]
        if isinstance(live, LiveBuy):
            self._bids.remove(live)
        else:
            self._asks.remove(live)

    def _take_off(self, live: LiveOrder, reason: str) -> OrderChanged:
        """Cancel what is left of an order; the leases it has stay."""
        self._remove(live)
        return _cancelled(live, reason)


def _changed(live: LiveOrder, reason: Reason) -> OrderChanged:
    return OrderChanged(live.order.order_id, live.state, live.open_lots, live.filled_lots, reason)


def _cancelled(live: LiveOrder, reason: str) -> OrderChanged:
    order_id = live.order.order_id
    return OrderChanged(order_id, OrderState.CANCELLED, 0, live.filled_lots, reason)


def _total(fills: list[Fill]) -> int:
    return sum(fill.lots for fill in fills)
