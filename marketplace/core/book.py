"""The order book every implementation is: events in, effects out, and one canonical state.

A book is one pool, one resource class, one term. It is deterministic: the same events with the
same sequence numbers give the same effects and the same state hash in every implementation.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from marketplace.core import invariants, wellformed
from marketplace.core.effects import Effect
from marketplace.core.events import Capacity, Event
from marketplace.core.snapshot import Snapshot
from opengrid import canonical


class SequenceGap(ValueError):
    """An event came with another sequence number than the next one; nothing was changed."""


class BrokenBook(AssertionError):
    """The book's state breaks a rule that must hold after every event."""


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """The lots that could trade at one price."""

    price_micro: int
    lots: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Both sides of a book by price, the best first.

    Asks count what nodes can sell now: lots of a full or absent node, or offered twice, are left
    out, the cheaper offer counting first. Who fits whom is not considered.
    """

    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]


class Book(ABC):
    """An order book. `restore(state)` of any implementation reads `state()` of any other."""

    @property
    @abstractmethod
    def sequence(self) -> int:
        """The sequence number of the last event applied; 0 for a new book."""

    @abstractmethod
    def apply(self, event: Event, sequence: int) -> list[Effect]:
        """Apply the next event and return what it did, in order. Raises: SequenceGap."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The whole state as values of its own: later events do not change it."""

    def capacities(self) -> Mapping[str, Capacity]:
        """What the book last heard of each node; not to be changed."""
        return {node.node_id: node for node in self.snapshot().nodes}

    @classmethod
    @abstractmethod
    def from_snapshot(cls, snapshot: Snapshot) -> Self:
        """A book in the state of a sound snapshot."""

    def state(self) -> dict[str, Any]:
        """The canonical state: ints, strings, bools, None, lists and dicts."""
        return self.snapshot().to_dict()

    def state_hash(self) -> str:
        """SHA-256 of the canonical bytes of the state, in hex."""
        return hashlib.sha256(canonical.canonical_bytes(self.state())).hexdigest()

    @classmethod
    def restore(cls, state: object) -> Self:
        """A book in the given canonical state. Raises: Malformed, also if the state is unsound."""
        snapshot = Snapshot.from_dict(state)
        if broken := invariants.violations(snapshot):
            raise wellformed.Malformed(f"the state contradicts itself: {'; '.join(broken)}")
        return cls.from_snapshot(snapshot)

    def depth(self) -> Depth:
        """Both sides of the book by price."""
        snapshot = self.snapshot()
        free = snapshot.free_lots
        asks = []
        for ask in snapshot.asks:
            lots = min(ask.open_lots, free[ask.order.node_id])
            free[ask.order.node_id] -= lots
            asks.append((ask.order.limit_price_micro, lots))
        bids = [(bid.order.limit_price_micro, bid.open_lots) for bid in snapshot.bids]
        return Depth(bids=_levels(bids), asks=_levels(asks))

    def validate(self) -> None:
        """Check every invariant of the state. Raises: BrokenBook."""
        if broken := invariants.violations(self.snapshot()):
            raise BrokenBook("; ".join(broken))


def _levels(lots_by_price: Iterable[tuple[int, int]]) -> tuple[DepthLevel, ...]:
    levels: Counter[int] = Counter()
    for price_micro, lots in lots_by_price:
        levels[price_micro] += lots
    return tuple(DepthLevel(price_micro, lots) for price_micro, lots in levels.items() if lots)
