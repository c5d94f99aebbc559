"""The canonical state of a book: the same for every implementation.

A snapshot plus the journal's tail restores a book; its hash proves that two books are equal.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

from marketplace.core import live_orders, wellformed
from marketplace.core.events import Capacity
from marketplace.core.live_orders import LiveBuy, LiveOrder, LiveSell
from marketplace.core.orders import Lease

VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a book remembers after the event with `sequence`.

    `nodes` are the last capacity reports by node, `orders` the live orders by sequence, `leases`
    the live leases by reference. Orders that are final and leases that are closed are forgotten.
    """

    sequence: int
    halted: bool
    nodes: tuple[Capacity, ...]
    orders: tuple[LiveOrder, ...]
    leases: tuple[Lease, ...]

    @property
    def bids(self) -> list[LiveBuy]:
        """BUY orders, the one that trades first in front."""
        found = [live for live in self.orders if isinstance(live, LiveBuy)]
        return sorted(found, key=live_orders.bid_priority)

    @property
    def asks(self) -> list[LiveSell]:
        """SELL offers, the one that trades first in front, those with nothing to sell included."""
        found = [live for live in self.orders if isinstance(live, LiveSell)]
        return sorted(found, key=live_orders.ask_priority)

    @property
    def free_lots(self) -> dict[str, int]:
        """For each node the lots it may still put under lease."""
        free = {node.node_id: node.lots if node.available else 0 for node in self.nodes}
        for lease in self.leases:
            free[lease.node_id] -= lease.lots
        return {node_id: max(lots, 0) for node_id, lots in free.items()}

    @property
    def held_lots(self) -> Counter[tuple[str, str]]:
        """Lots under lease by (buy order, seller)."""
        held: Counter[tuple[str, str]] = Counter()
        for lease in self.leases:
            held[lease.buy_order_id, lease.seller] += lease.lots
        return held

    def to_dict(self) -> dict[str, Any]:
        """The canonical form, in one order whatever the order of the fields' elements."""
        return {
            "version": VERSION,
            "sequence": self.sequence,
            "halted": self.halted,
            "nodes": [node.to_dict() for node in sorted(self.nodes, key=lambda n: n.node_id)],
            "orders": [live_orders.live_to_dict(live) for live in sorted(self.orders, key=lambda live: live.sequence)],
            "leases": [lease.to_dict() for lease in sorted(self.leases, key=lambda le: le.ref)],
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the canonical form back; `invariants` says if it is sound. Raises: Malformed."""
        names = ("version", "sequence", "halted", "nodes", "orders", "leases")
        found = wellformed.keys(data, *names)
        if found["version"] != VERSION:
            raise wellformed.Malformed(f"found state version {found['version']}, read {VERSION}")
        wellformed.whole("sequence", found["sequence"], minimum=0)
        wellformed.flag("halted", found["halted"])
        return cls(
            sequence=found["sequence"],
            halted=found["halted"],
            nodes=tuple(Capacity.from_dict(node) for node in found["nodes"]),
            orders=tuple(live_orders.live_from_dict(live) for live in found["orders"]),
            leases=tuple(Lease.from_dict(lease) for lease in found["leases"]),
        )
