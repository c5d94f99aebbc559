"""Writes to the market: pools, orders, cancels, leases that end. What became of an order is the matcher's to write."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils.translation import gettext_noop

from accounts.models import Cooperative, Membership
from common import errors, live, locks
from common.words import said as _
from marketplace.core import events
from marketplace.core.fit import Needs
from marketplace.core.orders import BuyOrder, Reason, SellOrder, TimeInForce
from marketplace.models import Book, BookInput, Lease, Order, Pool, PoolSample, ResourceClass, Trade
from nodes import queries as nodes
from nodes import services as node_services
from nodes.core import states
from nodes.models import Node

CPU = "cpu"
NOT_YET_NUMBERED = "new"
SAMPLE_DAYS = 31
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


@transaction.atomic
def pool_of(cooperative: Cooperative) -> Pool:
    """The cooperative's own pool with its book, opened at first use."""
    locks.lock(locks.Space.COOPERATIVE, [cooperative.pk])
    pool, is_new = Pool.objects.get_or_create(cooperative=cooperative, name=cooperative.name)
    if is_new:
        pool.cooperatives.add(cooperative)
        resource_class, _ = ResourceClass.objects.get_or_create(
            code=CPU,
            defaults={"lot_milli": 1000, "description": gettext_noop("one reference core with 2 GiB of memory")},
        )
        Book.objects.create(pool=pool, resource_class=resource_class)
    return pool


def book_for(cooperative: Cooperative, resource_class: str = CPU) -> Book:
    """The book of a class in the cooperative's pool. Raises: errors.NotFound."""
    found = (
        Book.objects.select_related("resource_class", "pool")
        .filter(pool__cooperative=cooperative, resource_class__code=resource_class)
        .first()
    )
    if found is not None:
        return found
    pool = pool_of(cooperative)
    book = pool.books.select_related("resource_class").filter(resource_class__code=resource_class).first()
    if book is None:
        raise errors.NotFound(_("the pool trades no class %(resource_class)s", resource_class=repr(resource_class)))
    return book


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
            _require_offerable(order.node, order.placed_by, order.price_micro)
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
    _cancel([order], reason)


@transaction.atomic
def cancel_orders_of(*, reference: str, reason: str = "no_longer_needed") -> None:
    """Ask the matcher to take every live order for `reference` off the book."""
    _cancel(Order.objects.filter(reference=reference, state__in=LIVE_STATES).select_related("book"), reason)


def _cancel(orders: Iterable[Order], reason: str) -> None:
    """Events are made here, so that one the book would not take never gets to the matcher. Raises: Malformed."""
    for order in orders:
        BookInput.objects.create(
            book=order.book,
            kind=BookInput.Kind.CANCEL,
            payload=events.Cancel(str(order.pk), reason).to_dict(),
        )
        live.wake_matcher(order.book.pool_id)


@transaction.atomic
def keep_standing_offer(*, node: Node, lots: int, price_micro: int) -> Order:
    """Keep one standing SELL offer of at most `lots` lots of the node. The same again changes nothing.

    Raises: PriceBelowFloor, NodeNotOfferable.
    """
    book = book_for(node.cooperative)  # may open the pool, whose lock comes before the node's
    locks.lock(locks.Space.NODE, [node.pk])
    node.refresh_from_db()
    _require_offerable(node, node.operator, price_micro)
    lots = min(lots, node.sellable_lots)
    standing = list(standing_offers(node))
    for order in standing:
        if (order.lots, order.price_micro) == (lots, price_micro):
            return order
    _cancel(standing, "offer_replaced")
    return place_order(
        book=book,
        side=Order.Side.SELL,
        placed_by=node.operator,
        price_micro=price_micro,
        lots=lots,
        node=node,
        is_standing=True,
    )


def _require_offerable(node: Node, by: Membership, price_micro: int) -> None:
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


@transaction.atomic
def withdraw_offer(*, node: Node) -> None:
    """Take the node's standing offer off the book; its leases stay."""
    locks.lock(locks.Space.NODE, [node.pk])
    _cancel(standing_offers(node), "offer_withdrawn")


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
        _cancel(offers, "offer_withdrawn")
    return node


def standing_offers(node: Node) -> Iterable[Order]:
    """The node's live standing offers that nobody has asked to cancel."""
    asked = BookInput.objects.filter(kind=BookInput.Kind.CANCEL, sequence__isnull=True, book__orders__node=node)
    leaving = {entry.payload["order_id"] for entry in asked}
    offers = node.orders.filter(is_standing=True, state__in=LIVE_STATES).select_related("book").order_by("pk")
    return [order for order in offers if str(order.pk) not in leaving]


@transaction.atomic
def end_leases(*, lease_ids: Iterable[int], reason: str, now: datetime) -> int:
    """End live leases: no more work on them at once; the matcher takes the lots back. Returns how many ended now."""
    ended = 0
    for lease in Lease.objects.filter(pk__in=lease_ids).select_related("trade", "book").order_by("pk"):
        if not Lease.objects.filter(pk=lease.pk, state=Lease.State.LIVE).update(
            state=Lease.State.ENDING, ended_at=now, end_reason=reason
        ):
            continue
        BookInput.objects.create(
            book=lease.book,
            kind=BookInput.Kind.RETURN,
            payload=events.Return(lease.trade.ref, reason).to_dict(),
        )
        live.wake_matcher(lease.book.pool_id)
        ended += 1
    return ended


def add_to_bars(*, book: Book, trades: Sequence[Trade]) -> None:
    """Add trades, in their order, to the bar of this minute; a part of the matcher's tick, the one writer."""
    if not trades:
        return
    prices = [trade.price_micro for trade in trades]
    lots = sum(trade.lots for trade in trades)
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TO_BAR, [book.pk, prices[0], max(prices), min(prices), prices[-1], lots, len(trades)])


_ADD_TO_BAR = """
INSERT INTO marketplace_pricebar AS bar
       (book_id, minute_at, first_micro, high_micro, low_micro, last_micro, lots, trades)
VALUES (%s, date_trunc('minute', now()), %s, %s, %s, %s, %s, %s)
ON CONFLICT (book_id, minute_at) DO UPDATE
SET high_micro = greatest(bar.high_micro, excluded.high_micro), low_micro = least(bar.low_micro, excluded.low_micro),
    last_micro = excluded.last_micro, lots = bar.lots + excluded.lots, trades = bar.trades + excluded.trades
"""


@transaction.atomic
def sample_pools(*, now: datetime) -> None:
    """Note for every pool how many lots its nodes have and how many are sold, once a minute; forget what is old."""
    minute = now.replace(second=0, microsecond=0)
    there = Node.objects.filter(
        state__in=states.WORKING, last_seen_at__gte=now - timedelta(seconds=nodes.DARK_SECONDS), sellable_lots__gt=0
    )
    offered = {
        row["cooperative"]: row
        for row in there.values("cooperative").annotate(number=Count("pk"), lots=Sum("sellable_lots"))
    }
    sold = dict(
        Lease.objects.filter(state=Lease.State.LIVE, node__in=there)
        .values_list("book__pool")
        .annotate(lots=Sum("lots"))
    )
    nothing = {"number": 0, "lots": 0}
    samples = [
        PoolSample(
            pool=pool,
            at=minute,
            nodes=offered.get(pool.cooperative_id, nothing)["number"],
            lots=offered.get(pool.cooperative_id, nothing)["lots"],
            sold_lots=sold.get(pool.pk, 0),
        )
        for pool in Pool.objects.order_by("pk")
    ]
    PoolSample.objects.bulk_create(samples, ignore_conflicts=True)
    PoolSample.objects.filter(at__lt=now - timedelta(days=SAMPLE_DAYS)).delete()
