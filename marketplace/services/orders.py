"""Orders, accepted and cancelled. What becomes of one is the matcher's to write."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from accounts.models import Membership
from common import errors, live
from common.words import said as _
from marketplace.core import events
from marketplace.core.fit import Needs
from marketplace.core.orders import BuyOrder, Reason, SellOrder, TimeInForce
from marketplace.models import Book, BookInput, Order
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node

NOT_YET_NUMBERED = "new"
LIVE_STATES = (Order.State.ACCEPTED, Order.State.OPEN, Order.State.PARTIALLY_FILLED)


class PriceBelowFloor(errors.Invalid):
    """A node is offered below the least price its owner set."""

    code = "price_below_floor"
    title = _("The price is below the floor that the node's owner set")


class NodeNotOfferable(errors.Conflict):
    """The node's state does not allow offers, or it has nothing to sell."""

    code = "node_not_offerable"
    title = _("This node cannot be offered now")


class OrderClosed(errors.Conflict):
    """The order has left the book."""

    code = "order_closed"
    title = _("This order has already left the book")


@dataclass(frozen=True)
class NewOrder:
    """An order as its placer wishes it. Prices are micro-credits per unit-hour."""

    book: Book
    side: str
    placed_by: Membership
    owner_key: str
    price_micro: int
    lots: int
    time_in_force: str = Order.TimeInForce.GTC
    node: Node | None = None
    is_standing: bool = False
    needs: Needs | None = None
    max_lots_per_owner: int | None = None
    reference: str = ""
    hold_address: str = ""


_PLACE = """
INSERT INTO marketplace_order (book_id, side, time_in_force, price_micro, lots, placed_by_id, owner_key, node_id,
  is_standing, needs, max_lots_per_owner, reference, hold_address, state, reason, open_lots, filled_lots)
SELECT book_id, side, time_in_force, price_micro, lots, placed_by_id, owner_key, node_id, is_standing, needs,
  max_lots_per_owner, reference, hold_address, 'ACCEPTED', '', 0, 0
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[],
  %s::boolean[], %s::jsonb[], %s::bigint[], %s::text[], %s::text[]) WITH ORDINALITY
  AS new (book_id, side, time_in_force, price_micro, lots, placed_by_id, owner_key, node_id, is_standing, needs,
    max_lots_per_owner, reference, hold_address, place) ORDER BY place
RETURNING id, placed_at
"""


def place_orders(*, orders: Sequence[NewOrder]) -> list[Order]:
    """Accept orders: one INSERT, no lock. What depends on the book becomes a typed state set by the matcher.

    The INSERT is the transaction, unless the caller has one open: to begin and end another around it would
    cost as much as the statement. A node is offered by its operator alone, never below the floor.
    Raises: errors.NotFound, PriceBelowFloor, NodeNotOfferable, Malformed.
    """
    for order in orders:
        if order.node is not None:
            require_offerable(order.node, order.placed_by, order.price_micro)
    rows = [
        Order(
            book=order.book,
            side=order.side,
            time_in_force=order.time_in_force,
            price_micro=order.price_micro,
            lots=order.lots,
            placed_by=order.placed_by,
            owner_key=order.owner_key,
            node=order.node,
            is_standing=order.is_standing,
            needs=order.needs.to_dict() if order.needs else {},
            max_lots_per_owner=order.max_lots_per_owner,
            reference=order.reference,
            hold_address=order.hold_address,
        )
        for order in orders
    ]
    for row in rows:
        core_order(row)
    _insert(rows)
    for pool_id in {order.book.pool_id for order in orders}:
        live.wake_matcher(pool_id)
    return rows


def _insert(rows: Sequence[Order]) -> None:
    """Write the orders and fill in what the database gave them."""
    if not rows:
        return
    columns: list[list[object]] = [
        [row.book_id for row in rows],
        [row.side for row in rows],
        [row.time_in_force for row in rows],
        [row.price_micro for row in rows],
        [row.lots for row in rows],
        [row.placed_by_id for row in rows],
        [row.owner_key for row in rows],
        [row.node_id for row in rows],
        [row.is_standing for row in rows],
        [json.dumps(row.needs) for row in rows],
        [row.max_lots_per_owner for row in rows],
        [row.reference for row in rows],
        [row.hold_address for row in rows],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, columns)
        for row, (pk, placed_at) in zip(rows, sorted(cursor.fetchall()), strict=True):
            row.pk, row.placed_at = pk, placed_at
            row._state.adding, row._state.db = False, connection.alias


def core_order(order: Order) -> BuyOrder | SellOrder:
    """The order as the book knows it. Raises: Malformed for values no book takes."""
    if order.side == Order.Side.BUY:
        return BuyOrder(
            order_id=str(order.pk or NOT_YET_NUMBERED),
            owner=order.owner_key,
            lots=order.lots,
            limit_price_micro=order.price_micro,
            needs=Needs.from_dict(order.needs),
            time_in_force=TimeInForce(order.time_in_force),
            max_lots_per_owner=order.max_lots_per_owner,
        )
    return SellOrder(
        order_id=str(order.pk or NOT_YET_NUMBERED),
        owner=order.owner_key,
        node_id=str(order.node_id),
        lots=order.lots,
        limit_price_micro=order.price_micro,
        standing=order.is_standing,
        time_in_force=TimeInForce(order.time_in_force),
    )


def place_order(
    *,
    book: Book,
    side: str,
    placed_by: Membership,
    price_micro: int,
    lots: int,
    time_in_force: str = Order.TimeInForce.GTC,
    node: Node | None = None,
    is_standing: bool = False,
    needs: Needs | None = None,
    max_lots_per_owner: int | None = None,
    reference: str = "",
    hold_address: str = "",
) -> Order:
    """Accept one order; see `place_orders`."""
    order = NewOrder(
        book=book,
        side=side,
        placed_by=placed_by,
        owner_key=nodes.owner_key(node) if node else nodes.owner_key_of(placed_by),
        price_micro=price_micro,
        lots=lots,
        time_in_force=time_in_force,
        node=node,
        is_standing=is_standing,
        needs=needs,
        max_lots_per_owner=max_lots_per_owner,
        reference=reference,
        hold_address=hold_address,
    )
    return place_orders(orders=[order])[0]


@transaction.atomic
def cancel_order(*, order: Order, by: Membership | None = None, reason: str = Reason.CANCELLED_BY_OWNER) -> None:
    """Ask the matcher to take an order off the book; what traded before stays traded. Harmless twice.

    Raises: errors.NotFound for somebody else's order, OrderClosed.
    """
    if by is not None and order.placed_by_id != by.pk:
        raise errors.NotFound(_("there is no order %(order)s of yours", order=order.pk))
    order.refresh_from_db(fields=["state"])
    if order.state not in LIVE_STATES:
        raise OrderClosed(_("the order is %(state)s", state=order.state))
    ask_to_cancel([order], reason)


@transaction.atomic
def cancel_orders_of(*, reference: str, reason: str = "no_longer_needed") -> None:
    """Ask the matcher to take every live order for `reference` off the book."""
    ask_to_cancel(Order.objects.filter(reference=reference, state__in=LIVE_STATES).select_related("book"), reason)


def ask_to_cancel(orders: Iterable[Order], reason: str) -> None:
    """Ask the matcher to take these off the book.

    Events are made here, so that one the book would not take never gets to the matcher. Raises: Malformed.
    """
    for order in orders:
        BookInput.objects.create(
            book=order.book,
            kind=BookInput.Kind.CANCEL,
            payload=events.Cancel(str(order.pk), reason).to_dict(),
        )
        live.wake_matcher(order.book.pool_id)


def require_offerable(node: Node, by: Membership, price_micro: int) -> None:
    """Whether the member may offer the node at this price, in micro-credits per unit-hour.

    Raises: errors.NotFound for somebody else's node, NodeNotOfferable, PriceBelowFloor.
    """
    if node.operator_id != by.pk:
        raise errors.NotFound(_("there is no node %(node)s of yours", node=node.pk))
    if node.state not in states.WORKING or not node.sellable_lots:
        raise NodeNotOfferable(
            _(
                "the node is %(state)s and has %(sellable_lots)s lots to sell",
                state=node.state,
                sellable_lots=node.sellable_lots,
            )
        )
    if price_micro < node.floor_price_micro:
        raise PriceBelowFloor(
            _(
                "%(price_micro)s micro-credits per unit-hour; the floor is %(floor_price_micro)s",
                price_micro=price_micro,
                floor_price_micro=node.floor_price_micro,
            )
        )
