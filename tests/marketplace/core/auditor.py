"""An independent reader of a book's effects: keeps its own accounts and checks every step.

It knows the market's rules as definitions ("the best pair that can trade trades next, as much as
it can") and uses none of the book's matching code. An AssertionError says which rule was broken.
"""

from dataclasses import dataclass, replace

from marketplace.core import effects as fx
from marketplace.core.effects import Effect
from marketplace.core.events import Cancel, Capacity, Event, Place, Policy, Return
from marketplace.core.fit import Needs, NodeFeatures
from marketplace.core.orders import BuyOrder, Lease, Order, OrderState, SellOrder, TimeInForce
from marketplace.core.snapshot import Snapshot


@dataclass
class Account:
    """What the auditor has seen of one live order."""

    order: Order
    sequence: int
    open_lots: int
    filled_lots: int = 0


class Auditor:
    """Follows one book from its first event."""

    def __init__(self) -> None:
        self.halted = False
        self.nodes: dict[str, Capacity] = {}
        self.accounts: dict[str, Account] = {}
        self.leases: dict[str, Lease] = {}
        self._untold: set[str] = set()  # orders that changed and were not told yet
        self._trades = 0

    def observe(self, event: Event, sequence: int, effects: list[Effect], snapshot: Snapshot) -> None:
        """Check what one event did, and the book after it."""
        self._trades = 0
        for effect in self._read_answer(event, sequence, effects):
            match effect:
                case fx.TradeMade(lease):
                    self._see_trade(lease, sequence)
                case fx.OrderChanged():
                    self._see_change(effect, event)
                case _:
                    raise AssertionError(f"{effect} does not belong to {event}")
        assert not self._untold, f"nobody was told of changes to {self._untold}"
        self._check_after(sequence, snapshot)

    # What each event must be answered with first

    def _read_answer(self, event: Event, sequence: int, effects: list[Effect]) -> list[Effect]:
        """Check the direct answer to the event, book it, return the effects that remain."""
        assert effects, f"{event} was answered with silence"
        answer, *rest = effects
        match event:
            case Place(order):
                refused = self._expected_refusal(order)
                if refused:
                    assert effects == [fx.OrderRejected(order.order_id, refused)]
                    return []
                assert answer == fx.OrderOpened(order.order_id, sequence, order.lots)
                self.accounts[order.order_id] = Account(order, sequence, order.lots)
            case Cancel(order_id, reason):
                if order_id not in self.accounts:
                    assert effects == [fx.CancelRefused(order_id, "order_not_live")]
                    return []
                assert len(effects) == 1
                assert isinstance(answer, fx.OrderChanged)
                assert (answer.order_id, answer.reason) == (order_id, reason)
                return effects
            case Capacity():
                node_id = event.node_id
                leased = self._leased_on(node_id)
                assert answer == fx.CapacityChanged(node_id, event.lots, event.available, leased, event.reason)
                self.nodes[node_id] = event
            case Return(ref, reason):
                if ref not in self.leases:
                    assert effects == [fx.ReturnRefused(ref, "lease_not_live")]
                    return []
                lease = self.leases.pop(ref)
                assert answer == fx.LeaseClosed(lease, reason)
                self._give_back(lease)
            case Policy(halted, reason):
                assert answer == fx.PolicyChanged(halted, reason)
                self.halted = halted
        return rest

    def _expected_refusal(self, order: Order) -> str | None:
        used = {lease.buy_order_id for lease in self.leases.values()}
        used |= {lease.sell_order_id for lease in self.leases.values()}
        if order.order_id in used | set(self.accounts):
            return "duplicate_order"
        if self.halted:
            return "market_halted"
        if isinstance(order, SellOrder):
            if order.node_id not in self.nodes:
                return "unknown_node"
            if self.nodes[order.node_id].owner != order.owner:
                return "not_node_owner"
            if order.standing and order.time_in_force != "GTC":
                return "standing_must_rest"
        return None

    def _give_back(self, lease: Lease) -> None:
        account = self.accounts.get(lease.sell_order_id)
        if account and isinstance(account.order, SellOrder) and account.order.standing:
            account.open_lots += lease.lots
            self._untold.add(lease.sell_order_id)

    # Trades

    def _see_trade(self, lease: Lease, sequence: int) -> None:
        self._trades += 1
        assert lease.ref == f"{sequence}.{self._trades}", "trades are numbered within their event"
        pairs = self._able_pairs()
        pair = (lease.buy_order_id, lease.sell_order_id)
        assert pair in pairs, f"{pair} may not trade; {pairs} may"
        assert pair == pairs[0], f"{pairs[0]} comes before {pair}"
        bid, ask = self.accounts[pair[0]], self.accounts[pair[1]]
        assert lease.lots == self._possible_lots(bid, ask), "a trade takes all it can"
        older = min(bid, ask, key=lambda account: account.sequence)
        assert isinstance(ask.order, SellOrder)
        expected = (
            bid.order.owner,
            ask.order.owner,
            ask.order.node_id,
            older.order.limit_price_micro,
        )
        found = (lease.buyer, lease.seller, lease.node_id, lease.price_micro)
        assert found == expected, f"the trade says {found} instead of {expected}"
        for account in (bid, ask):
            account.open_lots -= lease.lots
            account.filled_lots += lease.lots
            self._untold.add(account.order.order_id)
        self.leases[lease.ref] = lease
        node = self.nodes[lease.node_id]
        assert node.available, "a node that is away sold a lot"
        assert self._leased_on(lease.node_id) <= node.lots, "a node is oversold"

    def _able_pairs(self) -> list[tuple[str, str]]:
        """All pairs that can trade at least a lot, the one that must trade next in front."""
        if self.halted:
            return []
        bids = [a for a in self.accounts.values() if isinstance(a.order, BuyOrder)]
        asks = [a for a in self.accounts.values() if isinstance(a.order, SellOrder)]
        found = [(b, a) for b in bids for a in asks if self._possible_lots(b, a) > 0]
        found.sort(
            key=lambda pair: (
                -pair[0].order.limit_price_micro,
                pair[0].sequence,
                pair[1].order.limit_price_micro,
                pair[1].sequence,
            )
        )
        return [(bid.order.order_id, ask.order.order_id) for bid, ask in found]

    def _possible_lots(self, bid: Account, ask: Account) -> int:
        buy, sell = bid.order, ask.order
        assert isinstance(buy, BuyOrder)
        assert isinstance(sell, SellOrder)
        node = self.nodes[sell.node_id]
        if buy.owner == sell.owner or buy.limit_price_micro < sell.limit_price_micro:
            return 0
        if not carries(node.features, buy.needs):
            return 0
        spread = self._spread_left(buy, sell.owner)
        return min(bid.open_lots, ask.open_lots, self._free(sell.node_id), spread)

    def _spread_left(self, buy: BuyOrder, seller: str) -> int:
        if buy.max_lots_per_owner is None:
            return buy.lots
        mine = [le for le in self.leases.values() if le.buy_order_id == buy.order_id]
        return buy.max_lots_per_owner - sum(le.lots for le in mine if le.seller == seller)

    def _free(self, node_id: str) -> int:
        node = self.nodes[node_id]
        return node.lots - self._leased_on(node_id) if node.available else 0

    def _leased_on(self, node_id: str) -> int:
        return sum(lease.lots for lease in self.leases.values() if lease.node_id == node_id)

    # Changes of orders

    def _see_change(self, change: fx.OrderChanged, event: Event) -> None:
        account = self.accounts[change.order_id]
        assert change.filled_lots == account.filled_lots, "the filled lots are not what was traded"
        if change.state is OrderState.CANCELLED:
            self._see_cancellation(change, account, event)
            return
        assert change.open_lots == account.open_lots, "the open lots are not what is left"
        state, reason = self._expected_state(account, event)
        assert (change.state, change.reason) == (state, reason)
        self._untold.discard(change.order_id)
        if state is OrderState.FILLED:
            del self.accounts[change.order_id]

    def _expected_state(self, account: Account, event: Event) -> tuple[OrderState, str]:
        standing = isinstance(account.order, SellOrder) and account.order.standing
        if account.open_lots == 0 and not standing:
            return OrderState.FILLED, "filled"
        renewed = isinstance(event, Return) and standing and self._trades == 0
        reason = "lease_returned" if renewed else "traded"
        whole = account.open_lots == account.order.lots
        return OrderState.OPEN if whole else OrderState.PARTIALLY_FILLED, reason

    def _see_cancellation(self, change: fx.OrderChanged, account: Account, event: Event) -> None:
        assert change.open_lots == 0, "a cancelled order has nothing open"
        order = account.order
        match change.reason, event:
            case "fok_not_fillable", Place(placed) if placed == order:
                assert order.time_in_force is TimeInForce.FOK
                assert account.filled_lots == 0, "a FOK order was filled in part"
                assert self._obtainable(account) < order.lots, "the FOK order could have been filled"
            case "ioc_remainder", Place(placed) if placed == order:
                assert order.time_in_force is TimeInForce.IOC
                assert not self._able_pairs(), "the IOC order could have traded more"
            case "node_changed_owner", Capacity():
                assert isinstance(order, SellOrder)
                assert order.node_id == event.node_id
                assert order.owner != event.owner
            case reason, Cancel(order_id, given):
                assert (order_id, given) == (order.order_id, reason)
            case _:
                raise AssertionError(f"{order} was cancelled for {change.reason} by {event}")
        assert account.open_lots > 0 or change.reason not in ("ioc_remainder", "fok_not_fillable")
        self._untold.discard(change.order_id)
        del self.accounts[change.order_id]

    def _obtainable(self, incoming: Account) -> int:
        """The most lots an order could get, from the limits alone: offers, nodes, operators."""
        everybody = list(self.accounts.values())
        if isinstance(incoming.order, SellOrder):
            wanted = sum(
                self._possible_lots(bid, replace(incoming, open_lots=10**9))
                for bid in everybody
                if isinstance(bid.order, BuyOrder)
            )
            return min(wanted, self._free(incoming.order.node_id))
        by_owner: dict[str, dict[str, int]] = {}
        for ask in everybody:
            if isinstance(ask.order, SellOrder) and self._possible_lots(incoming, ask) > 0:
                nodes = by_owner.setdefault(ask.order.owner, {})
                nodes[ask.order.node_id] = nodes.get(ask.order.node_id, 0) + ask.open_lots
        return sum(
            min(
                self._spread_left(incoming.order, owner),
                sum(min(lots, self._free(node_id)) for node_id, lots in nodes.items()),
            )
            for owner, nodes in by_owner.items()
        )

    # The book after the event

    def _check_after(self, sequence: int, snapshot: Snapshot) -> None:
        assert not self._able_pairs(), f"the book stays crossed: {self._able_pairs()}"
        for account in self.accounts.values():
            assert account.order.time_in_force is TimeInForce.GTC, f"{account.order} rests"
            self._check_lots(account)
        found = {
            live.order.order_id: (live.order, live.sequence, live.open_lots, live.filled_lots)
            for live in snapshot.orders
        }
        mine = {
            order_id: (account.order, account.sequence, account.open_lots, account.filled_lots)
            for order_id, account in self.accounts.items()
        }
        assert found == mine, "the live orders are not what the effects said"
        assert {lease.ref: lease for lease in snapshot.leases} == self.leases
        assert {node.node_id: node for node in snapshot.nodes} == self.nodes
        assert (snapshot.sequence, snapshot.halted) == (sequence, self.halted)

    def _check_lots(self, account: Account) -> None:
        order = account.order
        if isinstance(order, SellOrder) and order.standing:
            out = [le.lots for le in self.leases.values() if le.sell_order_id == order.order_id]
            assert account.open_lots + sum(out) == order.lots, f"{order} lost or gained lots"
        else:
            assert account.open_lots + account.filled_lots == order.lots, f"{order} lost lots"


def carries(node: NodeFeatures, needs: Needs) -> bool:
    """The definition of a fit, once more and in other words than marketplace.core.fit."""
    return (
        needs.runner in node.runners
        and node.memory_mib_per_lot >= needs.memory_mib
        and node.disk_mib_per_lot >= needs.disk_mib
        and all(flag in node.isolation for flag in needs.required_isolation)
        and (needs.tiers is None or node.tier in needs.tiers)
        and (needs.zones is None or node.zone in needs.zones)
        and (needs.node_ids is None or node.node_id in needs.node_ids)
        and node.owner not in needs.excluded_owners
    )
