"""A book at work in a test: numbers its events, keeps its journal, and has all of it audited."""

import json
from typing import Any

from marketplace.core import replay
from marketplace.core.book import Book
from marketplace.core.effects import Effect, OrderChanged, OrderRejected, TradeMade
from marketplace.core.events import Cancel, Event, Place, Policy, Return
from marketplace.core.live_orders import LiveOrder
from marketplace.core.orders import Lease, Order
from tests.marketplace.core.auditor import Auditor


class Desk:
    """Every event given here is checked by the auditor and by the book's own invariants."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.auditor = Auditor()
        self.journal: list[tuple[int, dict[str, Any]]] = []
        self.history: list[list[Effect]] = []

    def give(self, event: Event) -> list[Effect]:
        """Apply the next event; return its effects."""
        sequence = self.book.sequence + 1
        effects = self.book.apply(event, sequence)
        self.journal.append((sequence, through_json(event.to_dict())))
        self.history.append(effects)
        self.auditor.observe(event, sequence, effects, self.book.snapshot())
        self.book.validate()
        return effects

    def place(self, *orders: Order) -> list[Effect]:
        """Place orders one after the other; return all effects."""
        return [effect for order in orders for effect in self.give(Place(order))]

    def cancel(self, order_id: str) -> list[Effect]:
        """Cancel an order for its owner."""
        return self.give(Cancel(order_id))

    def give_back(self, ref: str) -> list[Effect]:
        """End a lease."""
        return self.give(Return(ref, "buyer_returned"))

    def halt(self, *, halted: bool = True) -> list[Effect]:
        """Halt trading, or resume it."""
        return self.give(Policy(halted, "steward_decided"))

    def live(self, order_id: str) -> LiveOrder | None:
        """The order as it stands in the book."""
        orders = {live.order.order_id: live for live in self.book.snapshot().orders}
        return orders.get(order_id)

    def restart(self) -> None:
        """Go on with a book restored from the canonical state, as after a crash."""
        before = self.book.state_hash()
        self.book = type(self.book).restore(through_json(self.book.state()))
        assert self.book.state_hash() == before

    def check_replay(self, snapshot_at: int = 0) -> None:
        """Replay the journal, from a snapshot taken after `snapshot_at` events, and compare all."""
        start = type(self.book)()
        replay.replay(start, self.journal[:snapshot_at])
        again = type(self.book).restore(through_json(start.state()))
        replayed = list(replay.effects(again, self.journal[snapshot_at:]))
        assert [effects for _, effects in replayed] == self.history[snapshot_at:]
        assert again.state_hash() == self.book.state_hash()


def trades(effects: list[Effect]) -> list[tuple[str, str, int, int]]:
    """The trades among effects: (buy order, sell order, lots, price)."""
    leases = [effect.lease for effect in effects if isinstance(effect, TradeMade)]
    return [(le.buy_order_id, le.sell_order_id, le.lots, le.price_micro) for le in leases]


def leases(effects: list[Effect]) -> list[Lease]:
    """The leases that were opened."""
    return [effect.lease for effect in effects if isinstance(effect, TradeMade)]


def outcome(effects: list[Effect], order_id: str) -> tuple[str, str]:
    """The last (state, reason) that an order was told; a refusal is REJECTED."""
    told = [
        ("REJECTED", effect.reason) if isinstance(effect, OrderRejected) else (effect.state, effect.reason)
        for effect in effects
        if isinstance(effect, OrderRejected | OrderChanged) and effect.order_id == order_id
    ]
    state, reason = told[-1]
    return str(state), str(reason)


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    """What a journal's JSON column gives back."""
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found
