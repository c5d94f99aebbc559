"""Fold a journal into a book: how a matcher starts, and how anyone checks what it did."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from marketplace.core import events
from marketplace.core.book import Book
from marketplace.core.effects import Effect

JournalEntry = tuple[int, Mapping[str, Any]]  # sequence, Event.to_dict()

AnyBook = TypeVar("AnyBook", bound=Book)


def effects(book: Book, journal: Iterable[JournalEntry]) -> Iterator[tuple[int, list[Effect]]]:
    """Apply each entry as it is asked for; give its sequence and effects.

    Raises: SequenceGap when the first entry is not the book's next or one is missing; Malformed
    when an entry is no event. The entries before it are applied.
    """
    for sequence, data in journal:
        yield sequence, book.apply(events.event_from_dict(data), sequence)


def replay(book: AnyBook, journal: Iterable[JournalEntry]) -> AnyBook:
    """Apply a journal, or the tail after a snapshot; return the book. Raises: as `effects`."""
    for _ in effects(book, journal):
        pass
    return book
