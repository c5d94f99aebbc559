"""The live leases of a book and the sums over them that matching asks for."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from marketplace.core.orders import Lease

Key = TypeVar("Key", str, tuple[str, str])


class Leases:
    """Leases by reference. What they add up to is kept beside them, so that asking is cheap."""

    def __init__(self, leases: Iterable[Lease] = ()) -> None:
        self._by_ref: dict[str, Lease] = {}
        self._of_order: Counter[str] = Counter()  # leases, by the order of either side
        self._on_node: Counter[str] = Counter()  # lots
        self._held: Counter[tuple[str, str]] = Counter()  # lots by (buy order, seller)
        for lease in leases:
            self.open(lease)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._by_ref.values())

    def open(self, lease: Lease) -> None:
        """Add a lease of a new reference."""
        self._by_ref[lease.ref] = lease
        self._count(lease, 1)

    def close(self, ref: str) -> Lease | None:
        """Take a lease out; None if there is none of that reference."""
        lease = self._by_ref.pop(ref, None)
        if lease is not None:
            self._count(lease, -1)
        return lease

    def has_any_of(self, order_id: str) -> bool:
        """Whether a lease of this order, of either side, is live."""
        return self._of_order[order_id] > 0

    def lots_on_node(self, node_id: str) -> int:
        """Lots of the node that are under lease."""
        return self._on_node[node_id]

    def lots_held(self, buy_order_id: str, seller: str) -> int:
        """Lots of one operator that a BUY order has under lease."""
        return self._held[buy_order_id, seller]

    def adds_up(self) -> bool:
        """Whether the sums are what the leases add up to."""
        again = Leases(self)
        mine = (self._of_order, self._on_node, self._held)
        return [dict(sums) for sums in mine] == [again._of_order, again._on_node, again._held]

    def _count(self, lease: Lease, times: int) -> None:
        _add(self._of_order, lease.buy_order_id, times)
        _add(self._of_order, lease.sell_order_id, times)
        _add(self._on_node, lease.node_id, times * lease.lots)
        _add(self._held, (lease.buy_order_id, lease.seller), times * lease.lots)


def _add(sums: Counter[Key], key: Key, number: int) -> None:
    """Add, and forget a key that is back at nothing, so that the sums do not grow for ever."""
    sums[key] += number
    if not sums[key]:
        del sums[key]
