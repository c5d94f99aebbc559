"""The matcher: the one writer of a pool's books.

1. Elect: a session-level advisory lock per pool; the winner raises the pool's epoch.
2. Load: newest snapshot of each book plus the journal since.
3. Wake by a Redis message or by the timer, ask once which of all pools have input, and tick those: take up
   what came in, match in memory, and write journal, trades, leases and projections in one transaction that the
   epoch fences.
4. A tick that fails leaves the memory ahead of the database: the book is loaded again.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from django.db import connection, transaction

from common import live
from marketplace.core import events
from marketplace.core.book import Book as CoreBook
from marketplace.core.plain_book import PlainBook
from marketplace.core.replay import replay
from marketplace.matcher import intake, writing
from marketplace.models import Book, BookSnapshot, JournalEvent, Pool
from nodes import queries as nodes

logger = logging.getLogger(__name__)

TIMER_SECONDS = 0.025
CAPACITY_SECONDS = 0.5
ELECTION_SECONDS = 0.25
PROGRESS_SECONDS = 1.0
LOCK_CLASS = 0x4D41  # advisory locks of matchers; the second key is the pool


class Deposed(RuntimeError):
    """Another matcher has been elected for this pool; this one must not write any more."""


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
            taken = intake.arrived(book)
            if look_at_nodes or any(isinstance(entry.event, events.Place) for entry in taken):
                taken = [*intake.capacity_changes(book, core), *taken]
            if taken:
                self._fence()
                writing.write(book, core, taken, self.epoch)
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
