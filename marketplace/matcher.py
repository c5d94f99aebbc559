"""The matcher: the one writer of a pool's books.

1. Elect: a session-level advisory lock per pool; the winner raises the pool's epoch.
2. Load: newest snapshot of each book plus the journal since.
3. Wake by a Redis message or by the timer, ask once which of all pools have input, and tick those: take up
   what came in, match in memory, and write journal, trades, leases and projections in one transaction that the
   epoch fences.
4. A tick that fails leaves the memory ahead of the database: the book is loaded again.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from common import live
from common.clock import database_now
from marketplace import services
from marketplace.core import effects as fx
from marketplace.core import events
from marketplace.core.book import Book as CoreBook
from marketplace.core.orders import Lease as BookLease
from marketplace.core.orders import OrderState
from marketplace.core.plain_book import PlainBook
from marketplace.core.replay import replay
from marketplace.models import Book, BookInput, BookSnapshot, JournalEvent, Lease, Order, Pool
from marketplace.queries import features_of
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node

logger = logging.getLogger(__name__)

TIMER_SECONDS = 0.025
CAPACITY_SECONDS = 0.5
ELECTION_SECONDS = 0.25
PROGRESS_SECONDS = 1.0
INTAKE_LIMIT = 2000
SNAPSHOT_EVERY = 5000
LOCK_CLASS = 0x4D41  # advisory locks of matchers; the second key is the pool


class Deposed(RuntimeError):
    """Another matcher has been elected for this pool; this one must not write any more."""


@dataclass(frozen=True)
class Input:
    """One thing to take up: the event, when it came, and the row it came from."""

    event: events.Event
    came_at: datetime
    order: Order | None = None
    entry: BookInput | None = None


def load(book: Book) -> CoreBook:
    """The book as the journal says: newest snapshot plus the events since."""
    snapshot = BookSnapshot.objects.filter(book=book).order_by("-sequence").first()
    core = PlainBook.restore(snapshot.state) if snapshot else PlainBook()
    journal = JournalEvent.objects.filter(book=book, sequence__gt=core.sequence).order_by("sequence")
    return replay(core, journal.values_list("sequence", "payload").iterator())


class PoolMatcher:
    """The elected matcher of one pool."""

    def __init__(self, pool: Pool, epoch: int) -> None:
        self.pool = pool
        self.epoch = epoch
        self._books: dict[int, CoreBook] = {}
        self._capacity_due = 0.0
        self._progress_due = 0.0

    @classmethod
    def elect(cls, pool: Pool) -> "PoolMatcher | None":
        """Become the pool's matcher, or None while another one is. Holds the lock for the session."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, pool.pk])
            if not cursor.fetchone()[0]:
                return None
            cursor.execute(
                "UPDATE marketplace_pool SET matcher_epoch = matcher_epoch + 1, matcher_progress_at = now() "
                "WHERE id = %s RETURNING matcher_epoch",
                [pool.pk],
            )
            return cls(pool, cursor.fetchone()[0])

    def tick(self) -> int:
        """Take up all that has come in. Returns how many events were applied. Raises: Deposed."""
        moment = time.monotonic()
        look_at_nodes = moment >= self._capacity_due
        applied = sum(self._tick_book(book, look_at_nodes) for book in self.pool.books.select_related("resource_class"))
        if look_at_nodes:
            self._capacity_due = moment + CAPACITY_SECONDS
        if moment >= self._progress_due:
            self._progress_due = moment + PROGRESS_SECONDS
            self._fence()
        return applied

    def look_at_nodes(self) -> None:
        """Compare nodes and books at the next tick."""
        self._capacity_due = 0.0

    def _tick_book(self, book: Book, look_at_nodes: bool) -> int:
        core = self._books.get(book.pk) or load(book)
        self._books.pop(book.pk, None)
        with transaction.atomic():
            taken = _intake(book)
            if look_at_nodes or any(isinstance(entry.event, events.Place) for entry in taken):
                taken = [*_capacity_changes(book, core), *taken]
            if taken:
                self._fence()
                _write(book, core, taken, self.epoch)
        self._books[book.pk] = core
        return len(taken)

    def _fence(self) -> None:
        """Only the newest matcher may write: checked in the transaction that writes."""
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE marketplace_pool SET matcher_progress_at = now() WHERE id = %s AND matcher_epoch = %s",
                [self.pool.pk, self.epoch],
            )
            if cursor.rowcount != 1:
                raise Deposed(f"pool {self.pool.pk}: epoch {self.epoch} is over")


class Round:
    """What one process does for all pools that it was elected for, at a cost that follows what changed."""

    def __init__(self) -> None:
        self.wake = live.Wake()
        self._matchers: dict[int, PoolMatcher] = {}
        self._nodes: dict[int, str] = {}
        self._due: dict[str, float] = {}

    def go(self) -> int:
        """Tick the pools that have input or whose nodes changed. Returns how many events were applied.

        Raises: Deposed, and any database error.
        """
        if self._is_due("election", ELECTION_SECONDS):
            self._elect()
        busy = _with_input(self._matchers)
        if self._is_due("capacity", CAPACITY_SECONDS):
            nodes_now = _nodes_by_pool(self._matchers)
            changed = {pk for pk in self._matchers if nodes_now.get(pk) != self._nodes.get(pk)}
            self._nodes = nodes_now
            for pk in changed:
                self._matchers[pk].look_at_nodes()
            busy |= changed
        applied = sum(self._matchers[pk].tick() for pk in sorted(busy))
        if self._is_due("progress", PROGRESS_SECONDS):
            _note_progress(self._matchers)
        return applied

    def _is_due(self, name: str, every_seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + every_seconds
        return True

    def _elect(self) -> None:
        for pool in Pool.objects.exclude(pk__in=self._matchers).order_by("pk"):
            matcher = PoolMatcher.elect(pool)
            if matcher is not None:
                logger.info("matching pool %s in epoch %s", pool.pk, matcher.epoch)
                self._matchers[pool.pk] = matcher
                self.wake.listen(pool.pk)


def run(stop: Callable[[], bool]) -> None:
    """Match every pool that this process can be elected for, until `stop()`.

    Raises: Deposed, and any database error: the supervisor starts a fresh process, which loads anew.
    """
    matching = Round()
    while not stop():
        if not matching.go():
            matching.wake.wait(TIMER_SECONDS)


_WITH_INPUT = """
SELECT pool_id FROM marketplace_book WHERE pool_id = ANY(%(pools)s) AND id IN (
  SELECT book_id FROM marketplace_order WHERE state = 'ACCEPTED'
  UNION SELECT book_id FROM marketplace_bookinput WHERE sequence IS NULL)
"""
_NODES_BY_POOL = """
SELECT pool.id, md5(string_agg(concat_ws('|', (to_jsonb(node) - %(beat)s::text[])::text, operator.user_id,
    node.last_seen_at IS NULL OR now() - node.last_seen_at > %(dark)s * interval '1 second'), ',' ORDER BY node.id))
FROM marketplace_pool AS pool JOIN nodes_node AS node ON node.cooperative_id = pool.cooperative_id
  JOIN accounts_membership AS operator ON operator.id = node.operator_id
WHERE pool.id = ANY(%(pools)s) GROUP BY pool.id
"""
_BEAT_COLUMNS = ["last_seen_at", "reported_slots_free", "reported_load_permille", "validated_in_a_row"]
"""What moves with every heartbeat and result, and no book asks for."""
_NOTE_PROGRESS = """
UPDATE marketplace_pool AS pool SET matcher_progress_at = now()
FROM unnest(%s::bigint[], %s::bigint[]) AS mine (id, epoch)
WHERE pool.id = mine.id AND pool.matcher_epoch = mine.epoch
"""


def _with_input(pools: Iterable[int]) -> set[int]:
    """Those of the pools whose books have something to take up; one look at two small indexes."""
    with connection.cursor() as cursor:
        cursor.execute(_WITH_INPUT, {"pools": list(pools)})
        return {pk for (pk,) in cursor.fetchall()}


def _nodes_by_pool(pools: Iterable[int]) -> dict[int, str]:
    """A mark for the nodes of each pool, which changes with anything that a book knows of a node."""
    with connection.cursor() as cursor:
        cursor.execute(_NODES_BY_POOL, {"pools": list(pools), "beat": _BEAT_COLUMNS, "dark": nodes.DARK_SECONDS})
        return dict(cursor.fetchall())


def _note_progress(matchers: Mapping[int, PoolMatcher]) -> None:
    """Say that the pools are looked after. Raises: Deposed."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_PROGRESS, [list(matchers), [matcher.epoch for matcher in matchers.values()]])
        if cursor.rowcount != len(matchers):
            raise Deposed(f"of the pools {sorted(matchers)} another matcher has one")


def _intake(book: Book) -> list[Input]:
    """Orders and other inputs that no tick has taken up, in the order in which they came."""
    orders = Order.objects.filter(book=book, state=Order.State.ACCEPTED).order_by("pk")[:INTAKE_LIMIT]
    entries = BookInput.objects.filter(book=book, sequence__isnull=True).order_by("pk")[:INTAKE_LIMIT]
    taken = [Input(events.Place(services.core_order(order)), order.placed_at, order=order) for order in orders]
    arriving = {str(entry.order.pk): entry.came_at for entry in taken if entry.order}
    taken += _other_inputs(book, entries, arriving)
    return sorted(taken, key=lambda entry: (entry.came_at, entry.entry is not None))


def _other_inputs(book: Book, entries: Iterable[BookInput], arriving: dict[str, datetime]) -> Iterator[Input]:
    """Cancels, returns and the like. A cancel comes after its order, in a later tick if the order must wait for one."""
    decoded = [(entry, events.event_from_dict(entry.payload)) for entry in entries]
    cancelled = [int(event.order_id) for _, event in decoded if isinstance(event, events.Cancel)]
    not_yet = Order.objects.filter(book=book, pk__in=cancelled, state=Order.State.ACCEPTED)
    waiting = {str(pk) for pk in not_yet.values_list("pk", flat=True)}
    for entry, event in decoded:
        came_at = entry.made_at
        if isinstance(event, events.Cancel) and event.order_id in waiting:
            if event.order_id not in arriving:
                continue
            came_at = max(came_at, arriving[event.order_id])
        yield Input(event, came_at, entry=entry)


def _capacity_changes(book: Book, core: CoreBook) -> Iterator[Input]:
    """What has become of the pool's nodes since the book last heard of them."""
    now = database_now()
    known = core.capacities()
    fleet = Node.objects.filter(cooperative_id=book.pool.cooperative_id).exclude(state=states.JOINED)
    for node in fleet.select_related("operator").order_by("pk"):
        reason = _unavailable(node, now)
        event = events.Capacity(
            features=features_of(node),
            lots=node.sellable_lots,
            available=reason is None,
            reason=reason or "available",
        )
        if known.get(event.node_id) != event and (event.node_id in known or event.available):
            yield Input(event, now)


def _unavailable(node: Node, now: datetime) -> str | None:
    if node.state not in states.WORKING:
        return f"node_{node.state.lower()}"
    return "node_dark" if nodes.is_dark(node, now) else None


def _write(book: Book, core: CoreBook, taken: Sequence[Input], epoch: int) -> None:
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
