"""Books, orders, trades and leases as messages. Amounts are micro-credits."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from common.paging import Digits, PageQuery, YesOrNo
from dashboard.queries import books
from marketplace.models import Book, Lease, Order, Trade
from opengrid.messages import Message, Natural, Positive, timestamp

Price = Annotated[int, Field(ge=1, le=10**12)]
"""Per unit-hour; a million credits and more is a slip of the hand."""
LotCount = Annotated[int, Field(ge=1, le=100_000)]
Side = Literal["BUY", "SELL"]
OrderState = Literal["ACCEPTED", "OPEN", "PARTIALLY_FILLED", "FILLED", "CANCELLED", "REJECTED"]


class BookView(Message):
    """A book and its best prices: `best_sell_micro` is the least price at which lots are offered."""

    id: Positive
    pool: str
    resource_class: str
    description: str
    lot_milli: Positive
    term: str
    best_sell_micro: Natural | None
    best_buy_micro: Natural | None


class BooksQuery(PageQuery):
    """Which of the books that the cooperative trades in."""

    resource_class: Annotated[str, StringConstraints(max_length=60)] | None = Field(
        None, description="Only this resource class."
    )


class BookListReply(Message):
    """The books the cooperative trades in, oldest first."""

    books: list[BookView]
    next: str | None


class LevelView(Message):
    """All lots at one price; `own_lots` are the asker's part of them."""

    price_micro: Natural
    lots: Natural
    own_lots: Natural


class DepthReply(Message):
    """The best prices of each side: sells ascend, buys descend."""

    sells: list[LevelView]
    buys: list[LevelView]


class TradeView(Message):
    """A match."""

    id: Positive
    at: str
    lots: Positive
    price_micro: Natural
    node_id: Positive
    node_name: str


class TradeListReply(Message):
    """Trades, newest first."""

    trades: list[TradeView]
    next: str | None


class PreviewQuery(Message):
    """An order that is only thought of."""

    side: Side
    lots: Annotated[int, Field(ge=1, le=100_000), Digits]
    price_micro: Annotated[int, Field(ge=1, le=10**12), Digits]


class PreviewReply(Message):
    """What would trade at once if nothing changed and every node fitted; prices are per hour."""

    lots: Natural
    average_micro: Natural | None
    worst_micro: Natural | None
    cost_micro: Natural
    most_micro: Natural


class OrdersQuery(PageQuery):
    """Which of the asker's orders."""

    state: OrderState | None = Field(None, description="Only those in this state.")
    live: YesOrNo | None = Field(None, description="Only those that may still trade, or only the others.")
    side: Side | None = Field(None, description="Only this side.")
    book: Annotated[int, Field(ge=1, le=10**18 - 1), Digits] | None = Field(None, description="Only in this book.")


class OrderRequest(Message):
    """Lots of an own node, offered at no less than a price. Capacity is bought by submitting jobs."""

    book_id: Positive
    side: Side
    node_id: Positive | None = None
    lots: LotCount
    price_micro: Price
    time_in_force: Literal["GTC", "IOC", "FOK"] = "GTC"


class OrderView(Message):
    """An order of the asker's. `reason` is a typed code."""

    id: Positive
    book_id: Positive
    resource_class: str
    side: str
    state: str
    reason: str
    time_in_force: str
    price_micro: Natural
    lots: Positive
    open_lots: Natural
    filled_lots: Natural
    is_standing: bool
    node_id: Positive | None
    reference: str
    placed_at: str
    closed_at: str | None


class OrderListReply(Message):
    """Orders, newest first."""

    orders: list[OrderView]
    next: str | None


class LeasesQuery(PageQuery):
    """Which of the asker's leases."""

    state: Literal["LIVE", "ENDING", "CLOSED"] | None = Field(None, description="Only those in this state.")


class LeaseView(Message):
    """Lots of one node, leased by the asker."""

    id: Positive
    book_id: Positive
    node_id: Positive
    node_name: str
    reference: str
    lots: Positive
    price_micro: Natural
    state: str
    opened_at: str
    ended_at: str | None
    end_reason: str


class LeaseListReply(Message):
    """Leases, newest first."""

    leases: list[LeaseView]
    next: str | None


def book_view(book: Book, best: Mapping[int, tuple[int | None, int | None]]) -> BookView:
    """A book with its best prices, of `marketplace.queries.best_prices`."""
    best_sell_micro, best_buy_micro = best.get(book.pk, (None, None))
    return BookView(
        id=book.pk,
        pool=book.pool.name,
        resource_class=book.resource_class.code,
        description=book.resource_class.description,
        lot_milli=book.resource_class.lot_milli,
        term=book.term,
        best_sell_micro=best_sell_micro,
        best_buy_micro=best_buy_micro,
    )


def levels(side: Sequence[books.Level]) -> list[LevelView]:
    """One side of a book."""
    return [LevelView(price_micro=level.price_micro, lots=level.lots, own_lots=level.mine) for level in side]


def trade_view(trade: Trade) -> TradeView:
    """A match."""
    return TradeView(
        id=trade.pk,
        at=timestamp(trade.at),
        lots=trade.lots,
        price_micro=trade.price_micro,
        node_id=trade.node_id,
        node_name=trade.node.name,
    )


def preview_reply(fill: books.Fill | None, *, most_micro: int) -> PreviewReply:
    """What would trade at once."""
    return PreviewReply(
        lots=fill.lots if fill else 0,
        average_micro=fill.average_micro if fill else None,
        worst_micro=fill.worst_micro if fill else None,
        cost_micro=fill.cost_micro if fill else 0,
        most_micro=most_micro,
    )


def order_view(order: Order) -> OrderView:
    """An order of `marketplace.queries.orders_of`."""
    return OrderView(
        id=order.pk,
        book_id=order.book_id,
        resource_class=order.book.resource_class.code,
        side=order.side,
        state=order.state,
        reason=order.reason,
        time_in_force=order.time_in_force,
        price_micro=order.price_micro,
        lots=order.lots,
        open_lots=order.open_lots,
        filled_lots=order.filled_lots,
        is_standing=order.is_standing,
        node_id=order.node_id,
        reference=order.reference,
        placed_at=timestamp(order.placed_at),
        closed_at=timestamp(order.closed_at) if order.closed_at else None,
    )


def lease_view(lease: Lease) -> LeaseView:
    """A lease of the asker's."""
    return LeaseView(
        id=lease.pk,
        book_id=lease.book_id,
        node_id=lease.node_id,
        node_name=lease.node.name,
        reference=lease.reference,
        lots=lease.lots,
        price_micro=lease.price_micro,
        state=lease.state,
        opened_at=timestamp(lease.opened_at),
        ended_at=timestamp(lease.ended_at) if lease.ended_at else None,
        end_reason=lease.end_reason,
    )
