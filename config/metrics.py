"""/metrics for Prometheus: what this web process did, and what stands in PostgreSQL.

Requests are counted by each web process, which is a target of its own; what is read from the database is the same at
each. No figure counts a table that grows: queues are read from the partial index that their workers use, and at most
MOST rows of it; a queue at MOST is at least so long.
"""

import inspect
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from django import db
from django.conf import settings
from django.db.backends.utils import CursorWrapper
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.crypto import constant_time_compare
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)
MOST: Final = 10_000
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_QUEUES: Final = {
    "tasks_waiting": "scheduler_task WHERE open_executions > 0",
    "attempts_running": "scheduler_attempt WHERE state = 'RUNNING'",
    "attempts_unverified": "scheduler_attempt WHERE state = 'SUBMITTED'",
    "orders_unmatched": "marketplace_order WHERE state = 'ACCEPTED'",
    "orders_open": "marketplace_order WHERE state = 'OPEN'",
    "leases_live": "marketplace_lease WHERE state = 'LIVE'",
    "jobs_unclosed": "scheduler_job WHERE closed_at IS NULL",
    "payout_freezes": "ledger_payoutfreeze AS f WHERE NOT EXISTS"
    " (SELECT 1 FROM ledger_payoutfreezelift AS l WHERE l.freeze_id = f.id)",
}
_BY_STATE: Final = {
    "nodes": "SELECT state, count(*) FROM nodes_node GROUP BY state",
    "jobs": "SELECT state, count(*) FROM (SELECT state FROM scheduler_job WHERE closed_at IS NULL LIMIT 10000) AS job"
    " GROUP BY state",
}
_LAG: Final = """
SELECT pool.id, pool.matcher_epoch, coalesce(max(extract(epoch FROM clock_timestamp() - oldest.placed_at)), 0)
  FROM marketplace_pool AS pool LEFT JOIN marketplace_book AS book ON book.pool_id = pool.id
  LEFT JOIN LATERAL (SELECT placed_at FROM marketplace_order WHERE book_id = book.id AND state = 'ACCEPTED'
                      ORDER BY id LIMIT 1) AS oldest ON true
 GROUP BY pool.id ORDER BY pool.id
"""
_PROGRESS: Final = "SELECT component, extract(epoch FROM clock_timestamp() - progressed_at) FROM config_processprogress"

registry = CollectorRegistry()
requests = Counter(
    "commongrid_requests", "Requests that were answered.", ["method", "route", "status"], registry=registry
)
seconds = Histogram(
    "commongrid_request_seconds", "How long answers took.", ["route"], registry=registry, buckets=_SECONDS
)


class Standing(Collector):
    """What stands in the database at the moment of the scrape."""

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing is read when the collector is registered."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every figure by one short query each. Raises: django.db.Error."""
        with db.connection.cursor() as cursor:
            for name, source in _QUEUES.items():
                cursor.execute(f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {MOST}) AS found")  # noqa: S608 ours
                words = f"How many {name.replace('_', ' ')}, at most {MOST}."
                yield GaugeMetricFamily(f"commongrid_{name}", words, value=cursor.fetchone()[0])
            for name, query in _BY_STATE.items():
                family = GaugeMetricFamily(f"commongrid_{name}", f"{name.capitalize()} by state.", labels=["state"])
                cursor.execute(query)
                for state, count in cursor.fetchall():
                    family.add_metric([state], count)
                yield family
            yield from self._matchers(cursor)
            progress = GaugeMetricFamily(
                "commongrid_progress_age_seconds", "Since a component last did something.", labels=["component"]
            )
            cursor.execute(_PROGRESS)
            for component, age in cursor.fetchall():
                progress.add_metric([component.lower()], float(age))
            yield progress
        yield from self._pool()

    def _matchers(self, cursor: CursorWrapper) -> Iterator[GaugeMetricFamily]:
        epoch = GaugeMetricFamily("commongrid_matcher_epoch", "Elections of a pool's matcher.", labels=["pool"])
        lag = GaugeMetricFamily("commongrid_matcher_lag_seconds", "Age of the oldest unmatched order.", labels=["pool"])
        cursor.execute(_LAG)
        for pool, number, age in cursor.fetchall():
            epoch.add_metric([str(pool)], number)
            lag.add_metric([str(pool)], float(age))
        yield epoch
        yield lag

    def _pool(self) -> Iterator[GaugeMetricFamily]:
        pool = getattr(db.connection, "pool", None)
        found = pool.get_stats() if pool is not None else {}
        for name, key in (("size", "pool_size"), ("free", "pool_available"), ("waiting", "requests_waiting")):
            words = f"Database connections of this process: {name}."
            yield GaugeMetricFamily(f"commongrid_db_pool_{name}", words, value=found.get(key, 0))


registry.register(Standing())


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The figures, for whoever has the token, or without one for this machine alone."""
    if not _may_read(request):
        return HttpResponse("metrics are for the token in COMMONGRID_METRICS_TOKEN, or for this machine\n", status=403)
    try:
        text = generate_latest(registry)
    except db.Error as error:
        logger.warning("no metrics, PostgreSQL does not answer: %s", error)
        return HttpResponse("PostgreSQL does not answer\n", status=503)
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        return constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}")
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False  # a proxy on this machine speaks for somebody else
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


@sync_and_async_middleware
def count_requests(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Middleware: every request by its route, never by its address, so that there are no more series than routes."""
    if inspect.iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            began = time.perf_counter()
            return _counted(request, await get_response(request), began)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _counted(request, response, began)

    return answer


def _counted(request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
    route = request.resolver_match.route if request.resolver_match else "none"
    method = request.method if request.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
    requests.labels(method, route, str(response.status_code)).inc()
    seconds.labels(route).observe(time.perf_counter() - began)
    return response
