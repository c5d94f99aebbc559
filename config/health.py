"""/healthz: the process answers. /readyz: it can serve, i.e. PostgreSQL answers and is migrated.

They are asked by supervisors and load balancers, which know neither host names nor https; so a
middleware answers them before the checks of host, scheme and session.
"""

import inspect
from collections.abc import Awaitable, Callable

import redis
from asgiref.sync import sync_to_async
from django import db
from django.conf import settings
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import sync_and_async_middleware
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config import metrics

REDIS_SECONDS = 1.0
_known: dict[str, bool] = {}


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer without touching anything: a process that can do this is alive."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when work can be taken, else 503 with the reason. Redis may be away: degraded."""
    postgres = _postgres_problem()
    redis_problem = _redis_problem()
    parts = {"postgresql": postgres or "ok", "redis": redis_problem or "ok"}
    if postgres is not None:
        return JsonResponse({"status": "not_ready", **parts}, status=503)
    return JsonResponse({"status": "ready" if redis_problem is None else "degraded", **parts})


def _postgres_problem() -> str | None:
    try:
        with db.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return None if _is_migrated() else "migrations_missing"
    except db.Error:
        return "unreachable"


def _is_migrated() -> bool:
    """Compare the code's migrations with the database's; a positive answer holds for good."""
    if not _known.get("migrated"):
        executor = MigrationExecutor(db.connection)
        _known["migrated"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _known["migrated"]


def _redis_problem() -> str | None:
    location = str(settings.CACHES["default"]["LOCATION"])
    try:
        with redis.Redis.from_url(
            location, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        ) as client:
            client.ping()
    except redis.RedisError:
        return "unreachable"
    return None


PAGES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": healthz,
    "/readyz": readyz,
    "/metrics": metrics.page,
}


@sync_and_async_middleware
def answer_health_first(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Middleware, to stand first: answers these pages and passes everything else on."""
    if inspect.iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            page = PAGES.get(request.path)
            if page is None:
                return await get_response(request)
            return await sync_to_async(page)(request)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        page = PAGES.get(request.path)
        return get_response(request) if page is None else page(request)

    return answer
