"""Orders and leases as the book knows them: values, states and the typed reasons of changes.

Quantities are lots (the lot size is the resource class's business), prices are integer
micro-credits per unit-hour. An owner is an operator cluster: who counts as one party.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from marketplace.core import wellformed
from marketplace.core.fit import Needs


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "BUY"
    SELL = "SELL"


class TimeInForce(StrEnum):
    """How long an order waits: GTC rests, IOC takes what is there, FOK takes all or nothing."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderState(StrEnum):
    """Where an order stands. OPEN and PARTIALLY_FILLED are live, the others are final.

    A standing offer is PARTIALLY_FILLED while any of its lots, or all of them, are under lease.
    """

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"

    @property
    def is_final(self) -> bool:
        """Whether the order has left the book for good."""
        return self in (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED)


class Reason(StrEnum):
    """Why something changed or was refused, where the book itself decides.

    The caller's events bring reasons of their own (a node drained, a hold exhausted): any
    lower_snake code, passed through unchanged.
    """

    TRADED = "traded"
    FILLED = "filled"
    LEASE_RETURNED = "lease_returned"
    CANCELLED_BY_OWNER = "cancelled_by_owner"
    IOC_REMAINDER = "ioc_remainder"
    FOK_NOT_FILLABLE = "fok_not_fillable"
    NODE_CHANGED_OWNER = "node_changed_owner"
    MARKET_HALTED = "market_halted"
    DUPLICATE_ORDER = "duplicate_order"
    UNKNOWN_NODE = "unknown_node"
    NOT_NODE_OWNER = "not_node_owner"
    STANDING_MUST_REST = "standing_must_rest"
    ORDER_NOT_LIVE = "order_not_live"
    LEASE_NOT_LIVE = "lease_not_live"


@dataclass(frozen=True, slots=True)
class BuyOrder:
    """Lots wanted for one job, at most at the limit price, each from a node that fits the needs.

    `max_lots_per_owner` spreads the order: no operator carries more of its lots at one time.
    """

    order_id: str
    owner: str
    lots: int
    limit_price_micro: int
    needs: Needs
    time_in_force: TimeInForce = TimeInForce.GTC
    max_lots_per_owner: int | None = None

    def __post_init__(self) -> None:
        _check_order(self)
        if not isinstance(self.needs, Needs):
            raise wellformed.Malformed(f"needs is {self.needs!r}; it must be Needs")
        if self.max_lots_per_owner is not None:
            wellformed.whole("max_lots_per_owner", self.max_lots_per_owner, minimum=1)

    @property
    def side(self) -> Side:
        """Always BUY."""
        return Side.BUY

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, told apart by its side."""
        return {
            "side": self.side.value,
            "order_id": self.order_id,
            "owner": self.owner,
            "lots": self.lots,
            "limit_price_micro": self.limit_price_micro,
            "needs": self.needs.to_dict(),
            "time_in_force": self.time_in_force.value,
            "max_lots_per_owner": self.max_lots_per_owner,
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the JSON form back. Raises: Malformed."""
        found = _fields(data, *cls.__dataclass_fields__)
        found["needs"] = Needs.from_dict(found["needs"])
        return cls(**found)


@dataclass(frozen=True, slots=True)
class SellOrder:
    """At most so many lots of one node, at least at the limit price.

    A standing offer gets its lots back when their lease ends; another one is used up by trading.
    """

    order_id: str
    owner: str
    node_id: str
    lots: int
    limit_price_micro: int
    standing: bool = False
    time_in_force: TimeInForce = TimeInForce.GTC

    def __post_init__(self) -> None:
        _check_order(self)
        wellformed.text("node_id", self.node_id)
        wellformed.flag("standing", self.standing)

    @property
    def side(self) -> Side:
        """Always SELL."""
        return Side.SELL

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, told apart by its side."""
        return {
            "side": self.side.value,
            "order_id": self.order_id,
            "owner": self.owner,
            "node_id": self.node_id,
            "lots": self.lots,
            "limit_price_micro": self.limit_price_micro,
            "standing": self.standing,
            "time_in_force": self.time_in_force.value,
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the JSON form back. Raises: Malformed."""
        return cls(**_fields(data, *cls.__dataclass_fields__))


Order = BuyOrder | SellOrder


def order_from_dict(data: object) -> Order:
    """Read the JSON form of either side back. Raises: Malformed."""
    match data:
        case {"side": "BUY"}:
            return BuyOrder.from_dict(data)
        case {"side": "SELL"}:
            return SellOrder.from_dict(data)
        case _:
            raise wellformed.Malformed(f"the side of {data!r} must be BUY or SELL")


@dataclass(frozen=True, slots=True)
class Lease:
    """Lots of one node, held by one BUY order at the price of the trade that opened the lease.

    The reference is `<sequence of the event>.<number of the trade in it>`, the trade's as well.
    Buyer and seller are the owners as they were when the trade was made.
    """

    ref: str
    buy_order_id: str
    sell_order_id: str
    buyer: str
    seller: str
    node_id: str
    lots: int
    price_micro: int

    def __post_init__(self) -> None:
        for name in ("ref", "buy_order_id", "sell_order_id", "buyer", "seller", "node_id"):
            wellformed.text(name, getattr(self, name))
        wellformed.whole("lots", self.lots, minimum=1)
        wellformed.whole("price_micro", self.price_micro, minimum=0)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read the JSON form back. Raises: Malformed."""
        return cls(**wellformed.keys(data, *cls.__dataclass_fields__))


def _check_order(order: Order) -> None:
    wellformed.text("order_id", order.order_id)
    wellformed.text("owner", order.owner)
    wellformed.whole("lots", order.lots, minimum=1)
    wellformed.whole("limit_price_micro", order.limit_price_micro, minimum=0)
    if not isinstance(order.time_in_force, TimeInForce):
        raise wellformed.Malformed(f"time_in_force is {order.time_in_force!r}; not a TimeInForce")


def _fields(data: object, *names: str) -> dict[str, Any]:
    found = dict(wellformed.keys(data, "side", *names))
    del found["side"]
    if found["time_in_force"] not in list(TimeInForce):
        message = f"time_in_force is {found['time_in_force']!r}; use one of {[*TimeInForce]}"
        raise wellformed.Malformed(message)
    found["time_in_force"] = TimeInForce(found["time_in_force"])
    return found
