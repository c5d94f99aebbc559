"""What anybody may see: figures of the whole instance, never of one member, node or job."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.queries import trends
from marketplace import queries as market
from marketplace.models import Book, Pool
from scheduler import queries as scheduler


@dataclass(frozen=True)
class Figures:
    """The state of the grid in a handful of numbers."""

    use: trends.UseDay
    nodes: int
    lots: int
    sold_lots: int
    prices: list[trends.ClassPrice]
    jobs_today: int

    @property
    def percent(self) -> int:
        """Share of the lots that is in use now."""
        return 100 * self.sold_lots // self.lots if self.lots else 0


def figures(now: datetime) -> Figures:
    """What is there now, use and prices over the last day, jobs submitted since midnight UTC. Eight queries."""
    books = list(Book.objects.select_related("resource_class").order_by("resource_class__code", "pk"))
    pools = list(Pool.objects.order_by("pk").values_list("pk", flat=True))
    now_there = list(market.use_now(now).values())
    return Figures(
        nodes=sum(each.nodes for each in now_there),
        lots=sum(each.lots for each in now_there),
        sold_lots=sum(each.sold_lots for each in now_there),
        use=trends.use_day(now, pools),
        prices=trends.class_prices(now, books)[:3],
        jobs_today=scheduler.jobs_between(now - _into_the_day(now), now),
    )


def _into_the_day(now: datetime) -> timedelta:
    return now - now.replace(hour=0, minute=0, second=0, microsecond=0)
