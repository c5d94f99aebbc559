"""Reads of the market: depth, trades, orders, leases, and which nodes could carry a need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Now

from accounts.models import Cooperative, Membership
from common import errors
from common.words import said as _
from marketplace.core import fit
from marketplace.core.fit import Needs, NodeFeatures
from marketplace.models import Book, Lease, Order, Pool, Trade
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node

RESTING = (Order.State.OPEN, Order.State.PARTIALLY_FILLED)
UNZONED = "unzoned"


@dataclass(frozen=True)
class Level:
    """All lots that rest at one price. Prices are micro-credits per unit-hour."""

    price_micro: int
    lots: int
    orders: int


@dataclass(frozen=True)
class Depth:
    """The visible book: bids from the highest, asks from the lowest price."""

    bids: list[Level]
    asks: list[Level]


@dataclass(frozen=True)
class Lots:
    """What a reference has on the market: lots of live leases, lots that orders still want."""

    live: int
    resting: int


@dataclass(frozen=True)
class Ability:
    """Which nodes of a pool could ever carry a need, and what excludes the others."""

    nodes_total: int
    able: tuple[Node, ...]
    excluded: Mapping[str, int]


def features_of(node: Node) -> NodeFeatures:
    """What one lot of the node offers, as the book sees it."""
    lots = max(node.sellable_lots, 1)
    return NodeFeatures(
        node_id=str(node.pk),
        owner=nodes.owner_key(node),
        runners=frozenset(node.runners),
        memory_mib_per_lot=node.memory_mib // lots,
        disk_mib_per_lot=node.disk_mib // lots,
        isolation=frozenset(node.isolation),
        tier=node.tier,
        zone=node.zone or UNZONED,
    )


def nodes_able(cooperative: Cooperative, needs: Needs) -> Ability:
    """How the fleet of the cooperative's pool answers `needs`, whatever its price or load."""
    fleet = _fleet(cooperative)
    features = [features_of(node) for node in fleet]
    summary = fit.summarise(needs, features)
    return Ability(
        nodes_total=summary.nodes,
        able=tuple(node for node, offered in zip(fleet, features, strict=True) if fit.fits(needs, offered)),
        excluded={str(constraint): number for constraint, number in summary.excluded.items()},
    )


def _fleet(cooperative: Cooperative) -> list[Node]:
    return list(
        Node.objects.filter(cooperative=cooperative, sellable_lots__gt=0)
        .exclude(state__in=[states.RETIRED, states.QUARANTINED])
        .select_related("operator")
        .order_by("pk")
    )


def lots_for(reference: str) -> Lots:
    """What `reference` has and still wants.

    Orders are read first: lots that trade between the two reads count twice rather than not at all, so
    that nobody buys them again.
    """
    wanted = Order.objects.filter(reference=reference, state__in=[Order.State.ACCEPTED, *RESTING]).aggregate(
        lots=Sum(F("lots") - F("filled_lots"), default=0)
    )
    held = Lease.objects.filter(reference=reference, state=Lease.State.LIVE).aggregate(lots=Sum("lots", default=0))
    return Lots(live=held["lots"], resting=wanted["lots"])


def depth(book: Book) -> Depth:
    """Resting lots by price; offers of nodes that cannot take work now are left out."""
    resting = Order.objects.filter(book=book)
    return Depth(
        bids=_levels(resting.filter(_bids()), "-price_micro"),
        asks=_levels(resting.filter(_asks()), "price_micro"),
    )


def asks_by_owner(book: Book, *, but: str, limit: int) -> list[tuple[int, int, str]]:
    """(price, lots, owner) of what is offered to everybody but the owner `but`, who cannot buy from themselves.

    The best prices first, at most `limit` rows of them. One query.
    """
    rows = Order.objects.filter(_asks(), book=book).exclude(owner_key=but).values("price_micro", "owner_key")
    offered = rows.annotate(lots=Sum("open_lots")).order_by("price_micro", "owner_key")[:limit]
    return [(row["price_micro"], row["lots"], row["owner_key"]) for row in offered]


def best_prices(books: Iterable[Book]) -> dict[int, tuple[int | None, int | None]]:
    """Book id -> least price at which lots are offered now, most that is bid. One query."""
    rows = Order.objects.filter(book__in=[book.pk for book in books]).values("book_id").order_by("book_id")
    resting = rows.filter(state__in=RESTING)
    found = resting.annotate(sell=Min("price_micro", filter=_asks()), buy=Max("price_micro", filter=_bids()))
    return {row["book_id"]: (row["sell"], row["buy"]) for row in found}


def _bids() -> Q:
    return Q(state__in=RESTING, open_lots__gt=0, side=Order.Side.BUY)


def _asks() -> Q:
    alive = Now() - timedelta(seconds=nodes.DARK_SECONDS)
    return Q(
        state__in=RESTING,
        open_lots__gt=0,
        side=Order.Side.SELL,
        node__state__in=states.WORKING,
        node__last_seen_at__gte=alive,
    )


def _levels(orders: QuerySet[Order], ordering: str) -> list[Level]:
    rows = orders.values("price_micro").annotate(lots=Sum("open_lots"), number=Count("pk")).order_by(ordering)
    return [Level(row["price_micro"], row["lots"], row["number"]) for row in rows]


def recent_trades(book: Book, limit: int = 50) -> QuerySet[Trade]:
    """The newest trades first."""
    return Trade.objects.filter(book=book).select_related("node").order_by("-pk")[:limit]


def orders_of(membership: Membership) -> QuerySet[Order]:
    """A member's orders, newest first."""
    return Order.objects.filter(placed_by=membership).select_related("book__resource_class", "node").order_by("-pk")


def orders_matching(
    membership: Membership,
    *,
    state: str | None = None,
    is_live: bool | None = None,
    side: str | None = None,
    book_id: int | None = None,
) -> QuerySet[Order]:
    """A member's orders by what is given, newest first; a live one may still trade."""
    found = orders_of(membership)
    if state is not None:
        found = found.filter(state=state)
    if is_live is not None:
        live = Q(state__in=[Order.State.ACCEPTED, *RESTING])
        found = found.filter(live if is_live else ~live)
    if side is not None:
        found = found.filter(side=side)
    return found if book_id is None else found.filter(book_id=book_id)


def get_order(membership: Membership, order_id: int) -> Order:
    """One order of the member's. Raises: errors.NotFound."""
    order = orders_of(membership).filter(pk=order_id).first()
    if order is None:
        raise errors.NotFound(_("there is no such order of yours"))
    return order


def trades_of(book: Book) -> QuerySet[Trade]:
    """The trades of a book, newest first."""
    return Trade.objects.filter(book=book).select_related("node").order_by("-pk")


def leases_of(membership: Membership, *, state: str | None = None) -> QuerySet[Lease]:
    """What a member leases or leased, newest first."""
    found = Lease.objects.filter(holder=membership).select_related("node").order_by("-pk")
    return found if state is None else found.filter(state=state)


def open_orders_of(membership: Membership) -> QuerySet[Order]:
    """A member's orders that are on the book or on their way to it, newest first."""
    return orders_of(membership).filter(state__in=[Order.State.ACCEPTED, *RESTING])


def live_leases(reference: str) -> QuerySet[Lease]:
    """Leases that give work to `reference`, oldest first."""
    return Lease.objects.filter(reference=reference, state=Lease.State.LIVE).select_related("node").order_by("pk")


@dataclass(frozen=True)
class Bar:
    """What traded between `at` and the next bar. Prices are micro-credits per unit-hour."""

    at: datetime
    first_micro: int
    high_micro: int
    low_micro: int
    last_micro: int
    lots: int


def bars(book_ids: Iterable[int], since: datetime, width: timedelta) -> dict[int, list[Bar]]:
    """Book -> bars of `width` that begin at or after `since`, oldest first; only those in which something traded."""
    found: dict[int, list[Bar]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_BARS, [width.total_seconds(), since, list(book_ids), since])
        for book_id, *bar in cursor.fetchall():
            found.setdefault(book_id, []).append(Bar(*bar))
    return found


_BARS = """
SELECT book_id, date_bin(make_interval(secs => %s), minute_at, %s) AS at,
       (array_agg(first_micro ORDER BY minute_at))[1], max(high_micro), min(low_micro),
       (array_agg(last_micro ORDER BY minute_at DESC))[1], sum(lots)::bigint
FROM marketplace_pricebar
WHERE book_id = ANY(%s) AND minute_at >= %s
GROUP BY book_id, at
ORDER BY book_id, at
"""


@dataclass(frozen=True)
class Use:
    """How much of some pools was there and in use around `at`, on average."""

    at: datetime
    nodes: int
    lots: int
    sold_lots: int


def use_now(now: datetime) -> dict[int, Use]:
    """Pool -> how many lots its nodes have and how many of them are sold, for every pool. Three queries."""
    there = Node.objects.filter(
        state__in=states.WORKING, last_seen_at__gte=now - timedelta(seconds=nodes.DARK_SECONDS), sellable_lots__gt=0
    )
    offered = {
        row["cooperative"]: (row["number"], row["lots"])
        for row in there.values("cooperative").annotate(number=Count("pk"), lots=Sum("sellable_lots"))
    }
    sold = dict(
        Lease.objects.filter(state=Lease.State.LIVE, node__in=there)
        .values_list("book__pool")
        .annotate(lots=Sum("lots"))
    )
    pools = Pool.objects.order_by("pk").values_list("pk", "cooperative")
    return {pool: Use(now, *offered.get(owner, (0, 0)), sold.get(pool, 0)) for pool, owner in pools}


def use(pool_ids: Iterable[int], since: datetime, width: timedelta) -> list[Use]:
    """The use of these pools together, in steps of `width` from `since`, oldest first; only steps that were sampled."""
    with connection.cursor() as cursor:
        cursor.execute(_USE, [width.total_seconds(), since, list(pool_ids), since])
        return [Use(*row) for row in cursor.fetchall()]


_USE = """
SELECT date_bin(make_interval(secs => %s), at, %s) AS step,
       round(avg(nodes))::int, round(avg(lots))::int, round(avg(sold_lots))::int
FROM (SELECT at, sum(nodes) AS nodes, sum(lots) AS lots, sum(sold_lots) AS sold_lots
      FROM marketplace_poolsample WHERE pool_id = ANY(%s) AND at >= %s GROUP BY at) AS minute
GROUP BY step
ORDER BY step
"""
