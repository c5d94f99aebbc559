"""A node's standing offer, and the owner's terms that it follows."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from accounts.models import Membership
from common import locks
from marketplace.models import BookInput, Order
from marketplace.services import books, orders
from nodes import services as node_services
from nodes.core import states
from nodes.models import Node


@transaction.atomic
def keep_standing_offer(*, node: Node, lots: int, price_micro: int) -> Order:
    """Keep one standing SELL offer of at most `lots` lots of the node. The same again changes nothing.

    Raises: PriceBelowFloor, NodeNotOfferable.
    """
    book = books.book_for(node.cooperative)  # may open the pool, whose lock comes before the node's
    locks.lock(locks.Space.NODE, [node.pk])
    node.refresh_from_db()
    orders.require_offerable(node, node.operator, price_micro)
    lots = min(lots, node.sellable_lots)
    standing = list(standing_offers(node))
    for order in standing:
        if (order.lots, order.price_micro) == (lots, price_micro):
            return order
    orders.ask_to_cancel(standing, "offer_replaced")
    return orders.place_order(
        book=book,
        side=Order.Side.SELL,
        placed_by=node.operator,
        price_micro=price_micro,
        lots=lots,
        node=node,
        is_standing=True,
    )


@transaction.atomic
def withdraw_offer(*, node: Node) -> None:
    """Take the node's standing offer off the book; its leases stay."""
    locks.lock(locks.Space.NODE, [node.pk])
    orders.ask_to_cancel(standing_offers(node), "offer_withdrawn")


@transaction.atomic
def set_node_terms(
    *,
    by: Membership,
    node: Node,
    floor_price_micro: int,
    limit_lots: int | None,
    now: datetime,
    version: str | None = None,
) -> Node:
    """Set the owner's floor and limit, and bring the standing offer in line with them.

    An offer at the old floor follows the floor; a dearer one stays where it is unless the floor passes it.
    Raises: nodes' TermsInvalid, NotYourNode, errors.NotFound, versions.ChangedMeanwhile.
    """
    locks.lock(locks.Space.NODE, [node.pk])
    before = node.floor_price_micro
    node = node_services.set_terms(
        by=by, node=node, floor_price_micro=floor_price_micro, limit_lots=limit_lots, now=now, version=version
    )
    offers = list(standing_offers(node))
    if node.state in states.WORKING and node.sellable_lots:
        for order in offers:
            follows = order.price_micro == before
            price = floor_price_micro if follows else max(order.price_micro, floor_price_micro)
            keep_standing_offer(node=node, lots=node.sellable_lots, price_micro=price)
    else:
        orders.ask_to_cancel(offers, "offer_withdrawn")
    return node


def standing_offers(node: Node) -> Iterable[Order]:
    """The node's live standing offers that nobody has asked to cancel."""
    asked = BookInput.objects.filter(kind=BookInput.Kind.CANCEL, sequence__isnull=True, book__orders__node=node)
    leaving = {entry.payload["order_id"] for entry in asked}
    offers = node.orders.filter(is_standing=True, state__in=orders.LIVE_STATES).select_related("book").order_by("pk")
    return [order for order in offers if str(order.pk) not in leaving]
