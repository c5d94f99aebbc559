"""What an event did to a book, in order: all the caller writes to its rows, in one transaction.

Numbers are totals after the change, not differences, so that writing one twice does no harm.
"""

from dataclasses import dataclass, fields
from typing import Any

from marketplace.core.orders import Lease, OrderState, Reason


@dataclass(frozen=True, slots=True)
class OrderOpened:
    """An order was accepted; `sequence` is its time priority for as long as it lives."""

    order_id: str
    sequence: int
    open_lots: int


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """An order was refused and never entered the book.

    With the reason duplicate_order this is about the event alone: the order of that id, or the
    leases it left, are as they were.
    """

    order_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order's state or lots changed. `filled_lots` counts every lot ever traded."""

    order_id: str
    state: OrderState
    open_lots: int
    filled_lots: int
    reason: str


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """A cancel found no live order of that id (never placed, or already final): nothing changed."""

    order_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class TradeMade:
    """A BUY order and a SELL offer met. The trade has the reference of the lease that it opens."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class LeaseClosed:
    """A lease ended and its lots came back."""

    lease: Lease
    reason: str


@dataclass(frozen=True, slots=True)
class ReturnRefused:
    """A return found no live lease of that reference: nothing changed."""

    ref: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class CapacityChanged:
    """A node's capacity for leases was set. `leased_lots` may exceed `lots` after it shrank."""

    node_id: str
    lots: int
    available: bool
    leased_lots: int
    reason: str


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """Trading was halted or resumed."""

    halted: bool
    reason: str


Effect = (
    OrderOpened
    | OrderRejected
    | OrderChanged
    | CancelRefused
    | TradeMade
    | LeaseClosed
    | ReturnRefused
    | CapacityChanged
    | PolicyChanged
)

_KINDS: dict[type[Effect], str] = {
    OrderOpened: "order_opened",
    OrderRejected: "order_rejected",
    OrderChanged: "order_changed",
    CancelRefused: "cancel_refused",
    TradeMade: "trade_made",
    LeaseClosed: "lease_closed",
    ReturnRefused: "return_refused",
    CapacityChanged: "capacity_changed",
    PolicyChanged: "policy_changed",
}


def to_dict(effect: Effect) -> dict[str, Any]:
    """The JSON form of any effect, for feeds and comparisons; `kind` tells which it is."""
    found = {field.name: getattr(effect, field.name) for field in fields(effect)}
    plain = {name: value.to_dict() if isinstance(value, Lease) else _plain(value) for name, value in found.items()}
    return {"kind": _KINDS[type(effect)], **plain}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value
