"""What a tick writes: journal, orders, trades and leases, each kind of row in one statement."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import connection

from common import live
from common.clock import database_now
from marketplace import services
from marketplace.core import effects as fx
from marketplace.core.book import Book as CoreBook
from marketplace.core.orders import Lease as BookLease
from marketplace.core.orders import OrderState
from marketplace.matcher.intake import Input
from marketplace.models import Book, BookInput, BookSnapshot, Lease, Order

SNAPSHOT_EVERY = 5000


def write(book: Book, core: CoreBook, taken: Sequence[Input], epoch: int) -> None:
    """Apply the inputs and write all that follows from them, in the caller's transaction."""
    journal: list[tuple[int, str, str]] = []
    entries: list[BookInput] = []
    done: list[fx.Effect] = []
    for entry in taken:
        sequence = core.sequence + 1
        done += core.apply(entry.event, sequence)
        payload = entry.event.to_dict()
        journal.append((sequence, payload["kind"].upper(), json.dumps(payload)))
        if entry.entry is not None:
            entry.entry.sequence = sequence
            entries.append(entry.entry)
        if entry.order is not None:
            entry.order.sequence = sequence
    _write_journal(book, journal, epoch)
    _number_inputs(entries)
    _project(book, done, {str(entry.order.pk): entry.order for entry in taken if entry.order})
    if core.sequence // SNAPSHOT_EVERY != (core.sequence - len(taken)) // SNAPSHOT_EVERY:
        BookSnapshot.objects.create(book=book, sequence=core.sequence, state=core.state(), state_hash=core.state_hash())
    live.publish(f"market.{book.pk}")


def _project(book: Book, done: Sequence[fx.Effect], arrived: dict[str, Order]) -> None:
    """Bring orders, trades and leases in line with what the book did. Effects hold totals, so this may be repeated."""
    now = database_now()
    touched = {
        effect.order_id for effect in done if isinstance(effect, fx.OrderChanged | fx.OrderOpened | fx.OrderRejected)
    }
    traded = [effect.lease for effect in done if isinstance(effect, fx.TradeMade)]
    touched |= {lease.buy_order_id for lease in traded} | {lease.sell_order_id for lease in traded}
    missing = [int(order_id) for order_id in touched - arrived.keys()]
    orders = arrived | {str(order.pk): order for order in Order.objects.filter(pk__in=missing)}
    closed: dict[str, str] = {}
    for effect in done:
        match effect:
            case fx.OrderOpened(order_id, _, open_lots):
                orders[order_id].state, orders[order_id].open_lots = Order.State.OPEN, open_lots
            case fx.OrderRejected(order_id, reason):
                _close(orders[order_id], Order.State.REJECTED, reason, now)
            case fx.OrderChanged(order_id, state, open_lots, filled_lots, reason):
                order = orders[order_id]
                order.state, order.reason = state.value, str(reason)
                order.open_lots, order.filled_lots = open_lots, filled_lots
                if state.is_final:
                    _close(order, state, reason, now)
            case fx.LeaseClosed(lease, reason):
                closed[lease.ref] = reason
            case _:
                pass
    _update_orders(list(orders.values()))
    _open_leases(book, traded, orders)
    services.add_to_bars(book=book, trades=traded)
    _close_leases(book, closed, now)
    for node_id in {int(lease.node_id) for lease in traded}:
        live.wake_node(node_id)
    for reference in {order.reference for order in orders.values() if order.reference}:
        live.publish(reference.replace(":", "."))


_WRITE_JOURNAL = """
INSERT INTO marketplace_journalevent (book_id, epoch, sequence, kind, payload)
SELECT %s, %s, * FROM unnest(%s::bigint[], %s::text[], %s::jsonb[])
"""
_OPEN_LEASES = """
WITH new AS (
  SELECT * FROM unnest(%(refs)s::text[], %(buys)s::bigint[], %(sales)s::bigint[], %(nodes)s::bigint[], %(lots)s::int[],
    %(prices)s::bigint[], %(holders)s::bigint[], %(references)s::text[]) WITH ORDINALITY
    AS new (ref, buy_order_id, sell_order_id, node_id, lots, price_micro, holder_id, reference, place)
), trade AS (
  INSERT INTO marketplace_trade (book_id, ref, buy_order_id, sell_order_id, node_id, lots, price_micro)
  SELECT %(book)s, ref, buy_order_id, sell_order_id, node_id, lots, price_micro FROM new ORDER BY place
  RETURNING id, ref
)
INSERT INTO marketplace_lease (trade_id, book_id, node_id, holder_id, reference, lots, price_micro, state, end_reason)
SELECT trade.id, %(book)s, new.node_id, new.holder_id, new.reference, new.lots, new.price_micro, 'LIVE', ''
FROM new JOIN trade ON trade.ref = new.ref ORDER BY new.place
"""
_UPDATE_ORDERS = """
UPDATE marketplace_order AS placed
SET sequence = new.sequence, state = new.state, reason = new.reason, open_lots = new.open_lots,
    filled_lots = new.filled_lots, closed_at = new.closed_at
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[])
  AS new (id, sequence, state, reason, open_lots, filled_lots, closed_at)
WHERE placed.id = new.id
"""
_NUMBER_INPUTS = """
UPDATE marketplace_bookinput AS entry SET sequence = new.sequence
FROM unnest(%s::bigint[], %s::bigint[]) AS new (id, sequence) WHERE entry.id = new.id
"""


def _write_journal(book: Book, journal: Sequence[tuple[int, str, str]], epoch: int) -> None:
    """Number, kind and payload of each input, in one statement however many there are."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE_JOURNAL, [book.pk, epoch, *(list(column) for column in zip(*journal, strict=True))])


def _open_leases(book: Book, traded: Sequence[BookLease], orders: Mapping[str, Order]) -> None:
    """Write a trade and its lease for each lease that the book opened, in one statement."""
    if not traded:
        return
    buyers = [orders[lease.buy_order_id] for lease in traded]
    with connection.cursor() as cursor:
        cursor.execute(
            _OPEN_LEASES,
            {
                "book": book.pk,
                "refs": [lease.ref for lease in traded],
                "buys": [int(lease.buy_order_id) for lease in traded],
                "sales": [int(lease.sell_order_id) for lease in traded],
                "nodes": [int(lease.node_id) for lease in traded],
                "lots": [lease.lots for lease in traded],
                "prices": [lease.price_micro for lease in traded],
                "holders": [order.placed_by_id for order in buyers],
                "references": [order.reference for order in buyers],
            },
        )


def _update_orders(orders: Sequence[Order]) -> None:
    """Write what became of orders, in one statement however many there are."""
    if not orders:
        return
    columns = ("pk", "sequence", "state", "reason", "open_lots", "filled_lots", "closed_at")
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE_ORDERS, [[getattr(order, column) for order in orders] for column in columns])


def _number_inputs(entries: Sequence[BookInput]) -> None:
    """Note under which numbers inputs other than orders were taken up."""
    if entries:
        with connection.cursor() as cursor:
            cursor.execute(_NUMBER_INPUTS, [[entry.pk for entry in entries], [entry.sequence for entry in entries]])


def _close(order: Order, state: OrderState | Order.State, reason: str, now: datetime) -> None:
    order.state, order.reason, order.open_lots, order.closed_at = state.value, str(reason), 0, now


_CLOSE_LEASES = """
UPDATE marketplace_lease AS lease
SET state = 'CLOSED', closed_at = %(now)s, ended_at = coalesce(lease.ended_at, %(now)s),
    end_reason = CASE WHEN lease.end_reason = '' THEN gone.reason ELSE lease.end_reason END
FROM unnest(%(refs)s::text[], %(reasons)s::text[]) AS gone (ref, reason)
JOIN marketplace_trade AS trade ON trade.book_id = %(book)s AND trade.ref = gone.ref
WHERE lease.trade_id = trade.id
"""


def _close_leases(book: Book, closed: Mapping[str, str], now: datetime) -> None:
    """Write that leases (ref -> reason) are over, in one statement however many there are."""
    if not closed:
        return
    reasons = [str(reason) for reason in closed.values()]
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE_LEASES, {"now": now, "refs": list(closed), "reasons": reasons, "book": book.pk})
        if cursor.rowcount != len(closed):
            raise Lease.DoesNotExist(f"{book}: {len(closed)} leases ended, {cursor.rowcount} were found")
