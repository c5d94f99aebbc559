"""The market: replaying the journal gives the rows that the matcher wrote, whichever matcher wrote them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from marketplace.core import effects as fx
from marketplace.core import events, replay
from marketplace.core.book import BrokenBook
from marketplace.core.plain_book import PlainBook
from tests.faults.database import Row, Snapshot
from tests.faults.findings import Finding, differences

_JOURNAL = (
    "SELECT sequence, payload, epoch FROM marketplace_journalevent WHERE book_id = %s AND sequence > %s ORDER BY 1"
)
_ORDERS = "SELECT * FROM marketplace_order WHERE book_id = %s AND sequence IS NOT NULL ORDER BY id"
_LEASES = """
SELECT trade.ref, lease.lots, lease.price_micro, lease.node_id, lease.state
  FROM marketplace_lease AS lease JOIN marketplace_trade AS trade ON trade.id = lease.trade_id WHERE lease.book_id = %s
"""
_TRADES = (
    "SELECT ref, buy_order_id, sell_order_id, node_id, lots, price_micro FROM marketplace_trade WHERE book_id = %s"
)


@dataclass
class _Replayed:
    """One book as its journal makes it, followed from audit to audit."""

    book: PlainBook = field(default_factory=PlainBook)
    epoch: int = 0
    orders: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Order -> state, open lots, filled lots, by the last effect that named it."""
    places: dict[str, int] = field(default_factory=dict)
    """Order -> sequence of the event that placed it."""
    trades: set[tuple[str, int, int, int, int, int]] = field(default_factory=set)


class Journal:
    """Follows the journals of all books."""

    def __init__(self) -> None:
        self._books: dict[int, _Replayed] = {}

    def check(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Take in what is new in the journals and compare all of it with the rows, in one snapshot."""
        for row in snapshot.rows("SELECT book.id, pool.matcher_epoch FROM marketplace_book AS book "
                                 "JOIN marketplace_pool AS pool ON pool.id = book.pool_id ORDER BY 1"):  # fmt: skip
            replayed = self._books.setdefault(row["id"], _Replayed())
            for entry in snapshot.rows(_JOURNAL, row["id"], replayed.book.sequence):
                yield from _take_in(replayed, entry)
            if replayed.epoch > row["matcher_epoch"]:
                yield Finding("journal_replays", f"epoch {replayed.epoch} has not begun yet")
            yield from _compare(snapshot, row["id"], replayed)
            yield from _compare_snapshots(snapshot, row["id"])

    def check_from_the_beginning(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Replay every journal once more, whole: the state must have the same hash as the one that was followed."""
        for book_id, replayed in self._books.items():
            rows = snapshot.rows(_JOURNAL, book_id, 0)
            until = [(row["sequence"], row["payload"]) for row in rows if row["sequence"] <= replayed.book.sequence]
            again = replay.replay(PlainBook(), until)
            yield from differences(
                "journal_replays", f"state of book {book_id}", again.state_hash(), replayed.book.state_hash()
            )

    @property
    def events(self) -> int:
        """How many events have been replayed."""
        return sum(replayed.book.sequence for replayed in self._books.values())


def _take_in(replayed: _Replayed, entry: Row) -> Iterator[Finding]:
    """Apply one event; the book must be sound after it, and epochs never go back."""
    if entry["epoch"] < replayed.epoch:
        yield Finding(
            "journal_replays", f"#{entry['sequence']} was written in epoch {entry['epoch']}, after a later one"
        )
    replayed.epoch = max(replayed.epoch, entry["epoch"])
    if entry["sequence"] != replayed.book.sequence + 1:
        yield Finding("journal_replays", f"#{entry['sequence']} follows #{replayed.book.sequence}")
        return
    event = events.event_from_dict(entry["payload"])
    if isinstance(event, events.Place):
        replayed.places[event.order.order_id] = entry["sequence"]
    for effect in replayed.book.apply(event, entry["sequence"]):
        _note(replayed, effect)
    try:
        replayed.book.validate()
    except BrokenBook as error:
        yield Finding("journal_replays", f"after #{entry['sequence']}: {error}")


def _note(replayed: _Replayed, effect: fx.Effect) -> None:
    match effect:
        case fx.OrderOpened(order_id, _, open_lots):
            replayed.orders[order_id] = ("OPEN", open_lots, 0)
        case fx.OrderRejected(order_id, _):
            replayed.orders[order_id] = ("REJECTED", 0, 0)
        case fx.OrderChanged(order_id, state, open_lots, filled_lots, _):
            replayed.orders[order_id] = (state.value, 0 if state.is_final else open_lots, filled_lots)
        case fx.TradeMade(lease):
            ids = (int(lease.buy_order_id), int(lease.sell_order_id), int(lease.node_id))
            replayed.trades.add((lease.ref, *ids, lease.lots, lease.price_micro))
        case _:
            pass


def _compare(snapshot: Snapshot, book_id: int, replayed: _Replayed) -> Iterator[Finding]:
    rows = snapshot.rows(_ORDERS, book_id)
    stored = {str(row["id"]): (row["state"], row["open_lots"], row["filled_lots"]) for row in rows}
    for order_id in sorted(stored.keys() | replayed.orders.keys(), key=int):
        found, expected = stored.get(order_id), replayed.orders.get(order_id)
        yield from differences("journal_replays", f"order {order_id}", found, expected)
    sequences = {str(row["id"]): row["sequence"] for row in rows}
    yield from differences("journal_replays", f"numbers of orders in book {book_id}", sequences, replayed.places)
    trades = {tuple(row.values()) for row in snapshot.rows(_TRADES, book_id)}
    yield from differences("journal_replays", f"trades of book {book_id}", trades ^ replayed.trades, set())
    leases = {
        (row["ref"], row["lots"], row["price_micro"], row["node_id"])
        for row in snapshot.rows(_LEASES, book_id)
        if row["state"] != "CLOSED"
    }
    replayed_leases = {
        (lease.ref, lease.lots, lease.price_micro, int(lease.node_id)) for lease in replayed.book.snapshot().leases
    }
    yield from differences("journal_replays", f"leases of book {book_id}", leases ^ replayed_leases, set())
    restored = PlainBook.restore(replayed.book.state())
    yield from differences("journal_replays", "a restored book", restored.state_hash(), replayed.book.state_hash())


def _compare_snapshots(snapshot: Snapshot, book_id: int) -> Iterator[Finding]:
    """A snapshot that a matcher stored must be the state of the journal up to it."""
    for stored in snapshot.rows(
        "SELECT sequence, state_hash FROM marketplace_booksnapshot WHERE book_id = %s", book_id
    ):
        rows = snapshot.rows(_JOURNAL, book_id, 0)
        until = [(row["sequence"], row["payload"]) for row in rows if row["sequence"] <= stored["sequence"]]
        replayed = replay.replay(PlainBook(), until)
        where = f"snapshot of book {book_id} at #{stored['sequence']}"
        yield from differences("journal_replays", where, stored["state_hash"], replayed.state_hash())
