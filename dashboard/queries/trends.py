"""What changes over time, for charts: the price of a book, the use of a pool. Read from bars and samples alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.core import charts
from dashboard.queries import books
from dashboard.queries.viewer import Viewer
from marketplace import queries as market
from marketplace.models import Book

CANDLE = timedelta(minutes=30)
DAY = timedelta(days=1)
USE_STEP = timedelta(minutes=10)


@dataclass(frozen=True)
class PriceDay:
    """A book's last 24 hours."""

    bars: list[market.Bar]
    candles: list[tuple[charts.Candle, market.Bar]]

    @property
    def last_micro(self) -> int | None:
        """The last price paid within the day."""
        return self.bars[-1].last_micro if self.bars else None

    @property
    def change_micro(self) -> int:
        """How far the last price lies above the day's first."""
        return self.bars[-1].last_micro - self.bars[0].first_micro

    @property
    def high_micro(self) -> int:
        """The most that was paid."""
        return max(bar.high_micro for bar in self.bars)

    @property
    def low_micro(self) -> int:
        """The least that was paid."""
        return min(bar.low_micro for bar in self.bars)

    @property
    def lots(self) -> int:
        """Lots that traded."""
        return sum(bar.lots for bar in self.bars)


def _steps(now: datetime, width: timedelta) -> list[datetime]:
    """The beginnings of the steps of the last day, the one that runs now included."""
    last = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % width
    return [last - width * back for back in range(DAY // width, -1, -1)]


def price_day(now: datetime, book: Book) -> PriceDay:
    """Candles of the last 24 hours. One query."""
    steps = _steps(now, CANDLE)
    bars = market.bars([book.pk], steps[0], CANDLE).get(book.pk, [])
    by_step = {bar.at: bar for bar in bars}
    traded = [by_step.get(step) for step in steps]
    drawn = charts.candles([_traded(bar) if bar else None for bar in traded])
    return PriceDay(bars, [(candle, bar) for candle, bar in zip(drawn, traded, strict=True) if candle and bar])


def _traded(bar: market.Bar) -> charts.Traded:
    return charts.Traded(bar.first_micro, bar.high_micro, bar.low_micro, bar.last_micro, bar.lots)


@dataclass(frozen=True)
class ClassPrice:
    """The price of a class over the last day: the last one paid, and a line when there is more than one."""

    book: Book
    last_micro: int
    change_micro: int
    spark: str


def class_prices(now: datetime, some_books: Sequence[Book]) -> list[ClassPrice]:
    """The price of each class in which something traded within the day. One query."""
    bars = market.bars([book.pk for book in some_books], _steps(now, CANDLE)[0], CANDLE)
    return [
        ClassPrice(
            book=book,
            last_micro=bars[book.pk][-1].last_micro,
            change_micro=bars[book.pk][-1].last_micro - bars[book.pk][0].first_micro,
            spark=charts.spark([bar.last_micro for bar in bars[book.pk]]),
        )
        for book in some_books
        if book.pk in bars
    ]


@dataclass(frozen=True)
class UseDay:
    """How much of some pools was in use over the last 24 hours, as paths."""

    samples: list[market.Use]
    there: str
    sold: str
    most: int

    @property
    def now(self) -> market.Use | None:
        """The latest sample."""
        return self.samples[-1] if self.samples else None

    @property
    def percent(self) -> int:
        """Share of the lots that is in use now."""
        return 100 * self.samples[-1].sold_lots // self.samples[-1].lots if self.samples[-1].lots else 0

    @property
    def hourly(self) -> list[market.Use]:
        """At most 24 samples, for a table."""
        return self.samples[:: max(1, -(-len(self.samples) // 24))]


def use_day(now: datetime, pool_ids: Iterable[int]) -> UseDay:
    """The use of pools together. One query."""
    steps = _steps(now, USE_STEP)
    samples = market.use(pool_ids, steps[0], USE_STEP)
    by_step = {sample.at: sample for sample in samples}
    seen = [by_step.get(step) for step in steps]
    most = max((max(sample.lots, sample.sold_lots) for sample in samples), default=0)
    return UseDay(
        samples=samples,
        there=charts.area([sample.lots if sample else None for sample in seen], most),
        sold=charts.area([sample.sold_lots if sample else None for sample in seen], most),
        most=most,
    )


def pulse(viewer: Viewer) -> tuple[UseDay, list[ClassPrice]]:
    """Use and prices of the pools that the viewer's cooperative shares. Three queries."""
    own = books.books(viewer)
    return use_day(viewer.now, {book.pool_id for book in own}), class_prices(viewer.now, own)
