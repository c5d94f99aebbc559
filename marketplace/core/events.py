"""What can happen to a book: its inputs, and their JSON form for the journal.

The journal of these events is the truth; the book's state is a pure function of it. An event holds
everything the book needs, so that a replay asks nobody else. Each event is given to the book with
its sequence number; building one with values no correct caller can produce raises Malformed.
"""

from dataclasses import dataclass
from typing import Any, Self

from marketplace.core import orders, wellformed
from marketplace.core.fit import NodeFeatures
from marketplace.core.orders import BuyOrder, Order, Reason, SellOrder


@dataclass(frozen=True, slots=True)
class Place:
    """A new order arrives."""

    order: Order

    def __post_init__(self) -> None:
        if not isinstance(self.order, BuyOrder | SellOrder):
            raise wellformed.Malformed(f"order is {self.order!r}; it must be an order")

    def to_dict(self) -> dict[str, Any]:
        """The journal's form."""
        return {"kind": "place", "order": self.order.to_dict()}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the journal's form back. Raises: Malformed."""
        found = wellformed.keys(data, "kind", "order")
        return cls(orders.order_from_dict(found["order"]))


@dataclass(frozen=True, slots=True)
class Cancel:
    """An order leaves the book; the leases it has stay. Who may do so is checked before."""

    order_id: str
    reason: str = Reason.CANCELLED_BY_OWNER

    def __post_init__(self) -> None:
        wellformed.text("order_id", self.order_id)
        wellformed.code("reason", self.reason)

    def to_dict(self) -> dict[str, Any]:
        """The journal's form."""
        return {"kind": "cancel", "order_id": self.order_id, "reason": str(self.reason)}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the journal's form back. Raises: Malformed."""
        found = wellformed.keys(data, "kind", "order_id", "reason")
        return cls(found["order_id"], found["reason"])


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node is and how many lots it may have under lease from now on.

    Replaces the node's last report. A node that shrinks or is not available (draining, dark,
    quarantined: the reason says which) keeps the leases it has and sells nothing new.
    """

    features: NodeFeatures
    lots: int
    available: bool
    reason: str

    def __post_init__(self) -> None:
        if not isinstance(self.features, NodeFeatures):
            raise wellformed.Malformed(f"features is {self.features!r}; it must be NodeFeatures")
        wellformed.whole("lots", self.lots, minimum=0)
        wellformed.flag("available", self.available)
        wellformed.code("reason", self.reason)

    @property
    def node_id(self) -> str:
        """The node this is about."""
        return self.features.node_id

    @property
    def owner(self) -> str:
        """The operator cluster that owns the node now."""
        return self.features.owner

    def to_dict(self) -> dict[str, Any]:
        """The journal's form."""
        return {
            "kind": "capacity",
            "features": self.features.to_dict(),
            "lots": self.lots,
            "available": self.available,
            "reason": str(self.reason),
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the journal's form back. Raises: Malformed."""
        found = wellformed.keys(data, "kind", "features", "lots", "available", "reason")
        features = NodeFeatures.from_dict(found["features"])
        return cls(features, found["lots"], found["available"], found["reason"])


@dataclass(frozen=True, slots=True)
class Return:
    """A lease ends, for any reason: all its lots come back to the node and to a standing offer."""

    ref: str
    reason: str

    def __post_init__(self) -> None:
        wellformed.text("ref", self.ref)
        wellformed.code("reason", self.reason)

    def to_dict(self) -> dict[str, Any]:
        """The journal's form."""
        return {"kind": "return", "ref": self.ref, "reason": str(self.reason)}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the journal's form back. Raises: Malformed."""
        found = wellformed.keys(data, "kind", "ref", "reason")
        return cls(found["ref"], found["reason"])


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of the book change. While it is halted orders are refused and nothing trades."""

    halted: bool
    reason: str

    def __post_init__(self) -> None:
        wellformed.flag("halted", self.halted)
        wellformed.code("reason", self.reason)

    def to_dict(self) -> dict[str, Any]:
        """The journal's form."""
        return {"kind": "policy", "halted": self.halted, "reason": str(self.reason)}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the journal's form back. Raises: Malformed."""
        found = wellformed.keys(data, "kind", "halted", "reason")
        return cls(found["halted"], found["reason"])


Event = Place | Cancel | Capacity | Return | Policy

_KINDS: dict[str, type[Event]] = {
    "place": Place,
    "cancel": Cancel,
    "capacity": Capacity,
    "return": Return,
    "policy": Policy,
}


def event_from_dict(data: object) -> Event:
    """Read any event back from the journal. Raises: Malformed."""
    kind = data.get("kind") if isinstance(data, dict) else None
    event_class = _KINDS.get(str(kind))
    if event_class is None:
        raise wellformed.Malformed(f"the kind of {data!r} must be one of {sorted(_KINDS)}")
    return event_class.from_dict(data)
