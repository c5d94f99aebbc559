"""What anybody may see: figures of the whole instance, never of one member, node or job."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.queries import trends
from marketplace.models import Book, Pool
from scheduler import queries as scheduler


@dataclass(frozen=True)
class Figures:
    """The state of the grid in a handful of numbers."""

    use: trends.UseDay
    prices: list[trends.ClassPrice]
    jobs_today: int


def figures(now: datetime) -> Figures:
    """Use and prices over the last day, and how many jobs were submitted since midnight UTC. Five queries."""
    books = list(Book.objects.select_related("resource_class").order_by("resource_class__code", "pk"))
    pools = list(Pool.objects.order_by("pk").values_list("pk", flat=True))
    return Figures(
        use=trends.use_day(now, pools),
        prices=trends.class_prices(now, books)[:3],
        jobs_today=scheduler.jobs_between(now - _into_the_day(now), now),
    )


def _into_the_day(now: datetime) -> timedelta:
    return now - now.replace(hour=0, minute=0, second=0, microsecond=0)
