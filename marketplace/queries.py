"""Reads of the market: depth, trades, orders, leases, and which nodes could carry a need."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, F, QuerySet, Sum
from django.db.models.functions import Now

from accounts.models import Cooperative, Membership
from marketplace.core import fit
from marketplace.core.fit import Needs, NodeFeatures
from marketplace.models import Book, Lease, Order, Trade
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
    resting = Order.objects.filter(book=book, state__in=RESTING, open_lots__gt=0)
    alive = Now() - timedelta(seconds=nodes.DARK_SECONDS)
    asks = resting.filter(side=Order.Side.SELL, node__state__in=states.WORKING, node__last_seen_at__gte=alive)
    return Depth(
        bids=_levels(resting.filter(side=Order.Side.BUY), "-price_micro"),
        asks=_levels(asks, "price_micro"),
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


def open_orders_of(membership: Membership) -> QuerySet[Order]:
    """A member's orders that are on the book or on their way to it, newest first."""
    return orders_of(membership).filter(state__in=[Order.State.ACCEPTED, *RESTING])


def live_leases(reference: str) -> QuerySet[Lease]:
    """Leases that give work to `reference`, oldest first."""
    return Lease.objects.filter(reference=reference, state=Lease.State.LIVE).select_related("node").order_by("pk")
