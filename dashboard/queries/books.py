"""Reads of the market for the pages: classes, depth, trades, the viewer's own orders and leases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet, Sum

from dashboard.core import charts
from dashboard.core.offers import Ask
from dashboard.queries.viewer import Viewer
from marketplace import queries as market
from marketplace.models import Book, Lease, Order, Trade
from nodes import queries as nodes

LIVE = (Order.State.ACCEPTED, *market.RESTING)
LEVELS = 12
ASKS = 200
"""Prices of owners that offers are made of; the dearer ones beyond them do not matter to anybody."""
TRADE_ROWS = 25
ORDER_ROWS = 25


def books(viewer: Viewer) -> list[Book]:
    """The books that the viewer's cooperative trades in, by class."""
    return list(books_matching(viewer).order_by("resource_class__code", "term", "pk"))


def books_matching(viewer: Viewer, *, resource_class: str | None = None) -> QuerySet[Book]:
    """The books that the viewer's cooperative trades in, of one class or of all."""
    rows = Book.objects.filter(pool__cooperatives=viewer.cooperative_id)
    if resource_class is not None:
        rows = rows.filter(resource_class__code=resource_class)
    return rows.select_related("resource_class", "pool").order_by("pk")


@dataclass(frozen=True)
class Level:
    """Lots at one price, and all the lots from the best price up to it."""

    price_micro: int
    lots: int
    mine: int
    reached: int
    permille: int
    """`reached` against the deepest level shown on either side."""


@dataclass(frozen=True)
class Curve:
    """A chart of the depth: the axis of prices from `low` to `high`, the most lots, and a path for each side."""

    low_micro: int
    high_micro: int
    most: int
    buys: str
    sells: str


@dataclass(frozen=True)
class Depth:
    """The best prices of a book; sells ascend, buys descend."""

    sells: list[Level]
    buys: list[Level]

    @property
    def sells_down(self) -> list[Level]:
        """Sells from the highest price down, so that the best one lies next to the buys."""
        return self.sells[::-1]

    @property
    def curve(self) -> "Curve | None":
        """The two sides as stairs over one axis of prices; None for an empty book."""
        prices = [level.price_micro for level in (*self.sells, *self.buys)]
        if not prices:
            return None
        pad = max(1, (max(prices) - min(prices)) // 8)
        low, high = max(0, min(prices) - pad), max(prices) + pad
        most = max(level.reached for level in (*self.sells, *self.buys))
        sides = [[(level.price_micro, level.reached) for level in side] for side in (self.buys, self.sells)]
        return Curve(
            low, high, most, charts.steps(sides[0], low, high, most, to=0), charts.steps(sides[1], low, high, most)
        )

    @property
    def spread_micro(self) -> int:
        """How far the best sell lies above the best buy. Only where both are there."""
        return self.sells[0].price_micro - self.buys[0].price_micro

    @property
    def best_sell_micro(self) -> int | None:
        """Least price at which lots are offered."""
        return self.sells[0].price_micro if self.sells else None

    @property
    def best_buy_micro(self) -> int | None:
        """Most that somebody bids."""
        return self.buys[0].price_micro if self.buys else None


def depth(viewer: Viewer, book: Book) -> Depth:
    """The LEVELS best prices of each side. Three queries."""
    visible = market.depth(book)
    own = _own_lots(viewer, book)
    sides = (visible.asks[:LEVELS], visible.bids[:LEVELS])
    deepest = max(sum(level.lots for level in side) for side in sides)
    return Depth(
        sells=_reached(sides[0], own.get(Order.Side.SELL, {}), deepest),
        buys=_reached(sides[1], own.get(Order.Side.BUY, {}), deepest),
    )


def offered(viewer: Viewer, book: Book) -> list[Ask]:
    """What the viewer could buy now, by price and owner, the best price first. One query."""
    own = nodes.owner_key_of(viewer.membership)
    return [Ask(*row) for row in market.asks_by_owner(book, but=own, limit=ASKS)]


def _own_lots(viewer: Viewer, book: Book) -> dict[str, dict[int, int]]:
    """Side -> price -> lots of the viewer's resting orders."""
    rows = Order.objects.filter(book=book, placed_by=viewer.membership, state__in=market.RESTING, open_lots__gt=0)
    found: dict[str, dict[int, int]] = {}
    for side, price, lots in rows.values_list("side", "price_micro").annotate(lots=Sum("open_lots")).order_by("side"):
        found.setdefault(side, {})[price] = lots
    return found


def _reached(levels: Sequence[market.Level], own: Mapping[int, int], deepest: int) -> list[Level]:
    found: list[Level] = []
    reached = 0
    for level in levels:
        reached += level.lots
        mine = min(level.lots, own.get(level.price_micro, 0))
        found.append(Level(level.price_micro, level.lots, mine, reached, 1000 * reached // deepest))
    return found


def trades(book: Book, limit: int = TRADE_ROWS) -> QuerySet[Trade]:
    """The latest trades of a book, newest first."""
    return Trade.objects.filter(book=book).select_related("node").order_by("-pk")[:limit]


def lately_traded(viewer: Viewer, limit: int = 6) -> QuerySet[Trade]:
    """The latest trades in any book of the viewer's cooperative, newest first."""
    rows = Trade.objects.filter(book__pool__cooperatives=viewer.cooperative_id)
    return rows.select_related("book__resource_class", "node").order_by("-pk")[:limit]


def my_orders(viewer: Viewer, book: Book) -> list[Order]:
    """The viewer's orders in a book: the live ones first, then the latest that ended."""
    rows = Order.objects.filter(book=book, placed_by=viewer.membership).select_related("node")
    live = list(rows.filter(state__in=LIVE).order_by("-pk")[:ORDER_ROWS])
    over = rows.exclude(state__in=LIVE).order_by("-pk")[: max(0, ORDER_ROWS - len(live))]
    return [*live, *over]


def my_leases(viewer: Viewer, book: Book) -> QuerySet[Lease]:
    """What the viewer leases now, by hand or through jobs."""
    rows = Lease.objects.filter(book=book, holder=viewer.membership).exclude(state=Lease.State.CLOSED)
    return rows.select_related("node").order_by("-pk")[:ORDER_ROWS]


@dataclass(frozen=True)
class Fill:
    """What an order would trade at once, if nothing changes and every node fits."""

    lots: int
    worst_micro: int
    cost_micro: int
    """Per hour, for all these lots."""

    @property
    def average_micro(self) -> int:
        """Average price per core-hour, rounded up."""
        return -(-self.cost_micro // self.lots)


def would_fill(viewer: Viewer, book: Book, *, side: str, lots: int, limit_micro: int) -> Fill | None:
    """Walk the other side of the book up to a limit, past the viewer's own orders; None when nothing trades at once."""
    visible = market.depth(book)
    is_buy = side == Order.Side.BUY
    own = _own_lots(viewer, book).get(Order.Side.SELL if is_buy else Order.Side.BUY, {})
    left, cost, worst = lots, 0, 0
    for level in visible.asks if is_buy else visible.bids:
        within = level.price_micro <= limit_micro if is_buy else level.price_micro >= limit_micro
        taken = min(left, max(0, level.lots - own.get(level.price_micro, 0)))
        if not within or not left:
            break
        if taken:
            left, cost, worst = left - taken, cost + taken * level.price_micro, level.price_micro
    return Fill(lots - left, worst, cost) if left < lots else None
