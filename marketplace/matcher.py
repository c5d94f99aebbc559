"""The matcher: the one writer of a pool's books.

1. Elect: a session-level advisory lock per pool; the winner raises the pool's epoch.
2. Load: newest snapshot of each book plus the journal since.
3. Wake by a Redis message or by the timer, and tick: take up what came in, match in memory, and write
   journal, trades, leases and projections in one transaction that the epoch fences.
4. A tick that fails leaves the memory ahead of the database: the book is loaded again.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from common import live
from common.clock import database_now
from marketplace import services
from marketplace.core import effects as fx
from marketplace.core import events
from marketplace.core.book import Book as CoreBook
from marketplace.core.orders import OrderState
from marketplace.core.plain_book import PlainBook
from marketplace.core.replay import replay
from marketplace.models import Book, BookInput, BookSnapshot, JournalEvent, Lease, Order, Pool, Trade
from marketplace.queries import features_of
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node

logger = logging.getLogger(__name__)

TIMER_SECONDS = 0.025
CAPACITY_SECONDS = 0.5
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


def run(stop: Callable[[], bool]) -> None:
    """Match every pool that this process can be elected for, until `stop()`.

    Raises: Deposed, and any database error: the supervisor starts a fresh process, which loads anew.
    """
    matchers: dict[int, PoolMatcher] = {}
    wake = live.Wake()
    while not stop():
        for pool in Pool.objects.exclude(pk__in=matchers).order_by("pk"):
            matcher = PoolMatcher.elect(pool)
            if matcher is not None:
                logger.info("matching pool %s in epoch %s", pool.pk, matcher.epoch)
                matchers[pool.pk] = matcher
                wake.listen(pool.pk)
        applied = sum(matcher.tick() for matcher in matchers.values())
        if not applied:
            wake.wait(TIMER_SECONDS)


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
    known = {node.node_id: node for node in core.snapshot().nodes}
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
    journal: list[JournalEvent] = []
    entries: list[BookInput] = []
    done: list[fx.Effect] = []
    for entry in taken:
        sequence = core.sequence + 1
        done += core.apply(entry.event, sequence)
        payload = entry.event.to_dict()
        journal.append(
            JournalEvent(book=book, sequence=sequence, kind=payload["kind"].upper(), payload=payload, epoch=epoch)
        )
        if entry.entry is not None:
            entry.entry.sequence = sequence
            entries.append(entry.entry)
        if entry.order is not None:
            entry.order.sequence = sequence
    JournalEvent.objects.bulk_create(journal)
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
                _close_lease(book, lease.ref, reason, now)
            case _:
                pass
    _update_orders(list(orders.values()))
    trades = Trade.objects.bulk_create(
        [
            Trade(
                book=book,
                ref=lease.ref,
                buy_order_id=int(lease.buy_order_id),
                sell_order_id=int(lease.sell_order_id),
                node_id=int(lease.node_id),
                lots=lease.lots,
                price_micro=lease.price_micro,
            )
            for lease in traded
        ]
    )
    services.add_to_bars(book=book, trades=trades)
    Lease.objects.bulk_create([_lease(trade, orders[str(trade.buy_order_id)]) for trade in trades])
    for trade in trades:
        live.wake_node(trade.node_id)
    for reference in {order.reference for order in orders.values() if order.reference}:
        live.publish(reference.replace(":", "."))


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


def _lease(trade: Trade, order: Order) -> Lease:
    return Lease(
        trade=trade,
        book_id=trade.book_id,
        node_id=trade.node_id,
        holder_id=order.placed_by_id,
        reference=order.reference,
        lots=trade.lots,
        price_micro=trade.price_micro,
    )


def _close(order: Order, state: OrderState | Order.State, reason: str, now: datetime) -> None:
    order.state, order.reason, order.open_lots, order.closed_at = state.value, str(reason), 0, now


def _close_lease(book: Book, ref: str, reason: str, now: datetime) -> None:
    lease = Lease.objects.get(book=book, trade__ref=ref)
    lease.state, lease.closed_at = Lease.State.CLOSED, now
    lease.ended_at = lease.ended_at or now
    lease.end_reason = lease.end_reason or reason
    lease.save(update_fields=["state", "closed_at", "ended_at", "end_reason"])
