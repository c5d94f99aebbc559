"""What the market keeps of itself for charts: bars of trades, samples of pools."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction

from marketplace import queries
from marketplace.core.orders import Lease as BookLease
from marketplace.models import Book, PoolSample, Trade

SAMPLE_DAYS = 31


def add_to_bars(*, book: Book, trades: Sequence[Trade | BookLease]) -> None:
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
    samples = [
        PoolSample(pool_id=pool, at=minute, nodes=use.nodes, lots=use.lots, sold_lots=use.sold_lots)
        for pool, use in queries.use_now(now).items()
    ]
    PoolSample.objects.bulk_create(samples, ignore_conflicts=True)
    PoolSample.objects.filter(at__lt=now - timedelta(days=SAMPLE_DAYS)).delete()
