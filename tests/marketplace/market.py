"""A market to play on: nodes with capacity, orders through the services, a matcher, and a reader of its tables."""

import itertools
from collections import Counter

from common.clock import database_now
from marketplace import matcher as matchers
from marketplace import services as market
from marketplace.core.fit import Needs
from marketplace.core.orders import OrderState
from marketplace.core.plain_book import PlainBook
from marketplace.core.replay import replay
from marketplace.models import JournalEvent, Lease, Order, Trade
from nodes.models import Node

NEEDS = Needs(runner="python")
_numbers = itertools.count(1)


def a_node(operator, *, lots=4, floor_price_micro=0, state="ACTIVE", **fields):
    """A node that was measured and heard of, with no offer yet."""
    return Node.objects.create(
        cooperative=operator.cooperative,
        operator=operator,
        name=f"node {next(_numbers)}",
        public_key=f"key {next(_numbers)}",
        state=state,
        sellable_lots=lots,
        floor_price_micro=floor_price_micro,
        memory_mib=2048 * lots,
        disk_mib=10_000 * lots,
        runners=["python", "onnx"],
        last_seen_at=database_now(),
        **fields,
    )


def offer(node, lots=4, price_micro=10):
    return market.keep_standing_offer(node=node, lots=lots, price_micro=price_micro)


def buy(member, lots=1, price_micro=10, **fields):
    return market.place_order(
        book=market.book_for(member.cooperative),
        side="BUY",
        placed_by=member,
        price_micro=price_micro,
        lots=lots,
        **({"needs": NEEDS} | fields),
    )


def sell(node, lots=1, price_micro=10, **fields):
    """A one-time offer, or with is_standing another standing one."""
    return market.place_order(
        book=market.book_for(node.cooperative),
        side="SELL",
        placed_by=node.operator,
        price_micro=price_micro,
        lots=lots,
        node=node,
        **fields,
    )


def elect(cooperative):
    return matchers.PoolMatcher.elect(market.pool_of(cooperative))


def state_of(order):
    """(state, reason, open lots, filled lots) as the matcher wrote it."""
    order.refresh_from_db()
    return order.state, order.reason, order.open_lots, order.filled_lots


def give_back(lease, reason="lease_idle"):
    return market.end_leases(lease_ids=[lease.pk], reason=reason, now=database_now())


def replayed(book):
    """The book that the journal alone makes, from its first event."""
    journal = JournalEvent.objects.filter(book=book).order_by("sequence")
    return replay(PlainBook(), journal.values_list("sequence", "payload"))


def check(book, core):
    """The tables say what the book says, the journal makes the same book, and no node is oversold.

    `core` is the book in the matcher's memory.
    """
    snapshot = core.snapshot()
    assert replayed(book).state_hash() == core.state_hash(), "the journal makes another book"
    assert matchers.load(book).state_hash() == core.state_hash(), "snapshot and tail make another book"
    core.validate()
    live = {int(entry.order.order_id): entry for entry in snapshot.orders}
    for order in Order.objects.filter(book=book).exclude(state="ACCEPTED"):
        entry = live.get(order.pk)
        if entry is None:
            assert OrderState(order.state).is_final, f"order {order.pk} rests in the table alone"
            assert order.open_lots == 0
            assert order.closed_at is not None
        else:
            found = (order.state, order.open_lots, order.filled_lots, order.sequence, order.closed_at)
            assert found == (entry.state.value, entry.open_lots, entry.filled_lots, entry.sequence, None)
    assert set(live) <= set(Order.objects.filter(book=book).values_list("pk", flat=True))
    _check_leases(book, snapshot)


def _check_leases(book, snapshot):
    held = {
        lease.ref: (
            int(lease.buy_order_id),
            int(lease.sell_order_id),
            int(lease.node_id),
            lease.lots,
            lease.price_micro,
        )
        for lease in snapshot.leases
    }
    rows = Lease.objects.filter(book=book).exclude(state="CLOSED").select_related("trade")
    assert held == {
        row.trade.ref: (row.trade.buy_order_id, row.trade.sell_order_id, row.node_id, row.lots, row.price_micro)
        for row in rows
    }
    bought, on_node = Counter(), Counter()
    for trade in Trade.objects.filter(book=book):
        bought[trade.buy_order_id] += trade.lots
    for row in rows:
        on_node[row.node_id] += row.lots
    for order in Order.objects.filter(book=book, side="BUY"):
        assert bought[order.pk] == order.filled_lots <= order.lots
    for node_id, lots in on_node.items():
        reported = JournalEvent.objects.filter(book=book, kind="CAPACITY", payload__features__node_id=str(node_id))
        most = max(payload["lots"] for payload in reported.values_list("payload", flat=True))
        assert lots <= most, f"node {node_id} has {lots} lots under lease and never had more than {most}"
