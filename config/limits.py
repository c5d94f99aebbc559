"""How often somebody may call /api/v1: per token, person, node or address, and per class of call.

Each process keeps count of its own, which holds without Redis; Redis keeps the count of all processes together. Both
use the same rule (GCRA): a call moves a mark ahead by one interval, and the mark may be ahead by a whole window at
most. docs/decisions/0013 says why this is written here.
"""

import inspect
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import ApiToken
from config.caches import Outage
from nodes.models import Node

WINDOW_SECONDS: Final = 60.0
MOST_KEYS: Final = 50_000
_REQUEST_KEY: Final = "commongrid_rate"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_SHARED: Final = """
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local mark = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + interval
local ahead = mark - now
if ahead > window then return tostring(ahead) end
redis.call('SET', KEYS[1], string.format('%.6f', mark), 'PX', math.ceil(ahead * 1000) + 1000)
return tostring(ahead)
"""


@dataclass(frozen=True)
class Verdict:
    """What a count says of one call."""

    name: str
    quota: int
    ahead_seconds: float

    @property
    def is_allowed(self) -> bool:
        """The window is not full."""
        return self.ahead_seconds <= WINDOW_SECONDS

    @property
    def remaining(self) -> int:
        """Calls that would be allowed at once."""
        return max(0, math.floor((WINDOW_SECONDS - self.ahead_seconds) * self.quota / WINDOW_SECONDS + 1e-6))

    @property
    def reset_seconds(self) -> int:
        """When the next call is allowed, or where it is now, when the whole quota is."""
        return self.retry_seconds or math.ceil(self.ahead_seconds)

    @property
    def retry_seconds(self) -> int:
        """After so many whole seconds the next call is allowed; 0 when it is now."""
        return max(0, math.ceil(self.ahead_seconds - WINDOW_SECONDS))


class OwnCount:
    """The marks of one process, at most MOST_KEYS of them; the longest unused is forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def ahead(self, key: str, quota: int) -> float:
        """Count a call; seconds that the mark is ahead with it. A call beyond the window is not counted."""
        now = self._clock()
        with self._lock:
            mark = max(self._marks.get(key, now), now) + WINDOW_SECONDS / quota
            if mark - now <= WINDOW_SECONDS:
                self._marks[key] = mark
                self._marks.move_to_end(key)
                while len(self._marks) > MOST_KEYS:
                    self._marks.popitem(last=False)
        return mark - now

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._marks.clear()


class SharedCount:
    """The marks of all processes, in Redis. While it is away there are none."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=0.25, socket_connect_timeout=0.25)
        self._script = self._redis.register_script(_SHARED)
        self._outage = Outage()

    def ahead(self, key: str, quota: int) -> float | None:
        """As `OwnCount.ahead`, by the clock of Redis; None while it cannot be asked."""
        if self._outage.is_on():
            return None
        try:
            return float(self._script(keys=[f"rate:{key}"], args=[WINDOW_SECONDS / quota, WINDOW_SECONDS]))
        except redis.RedisError as error:
            self._outage.noted(error)
            return None


own = OwnCount()
shared = SharedCount(str(settings.CACHES["default"]["LOCATION"]))


def check(name: str, who: str, quota: int, *, is_shared: bool = True) -> Verdict:
    """Count one call of `who` in the class `name`; the stricter of both counts decides."""
    key = f"{name}:{who}"
    ahead = own.ahead(key, quota)
    if ahead <= WINDOW_SECONDS and is_shared:
        ahead = max(ahead, shared.ahead(key, quota) or 0.0)
    return Verdict(name, quota, ahead)


class CallThrottle(BaseThrottle):
    """Every endpoint's limit. Nodes are counted by each process alone: their calls are many, signed and cheap."""

    def __init__(self) -> None:
        self._verdict: Verdict | None = None

    def allow_request(self, request: Request, view: object) -> bool:
        """Whether the caller may now; the verdict is told in the answer's headers."""
        name, who = _caller(request, self)
        quota = settings.RATE_LIMITS[name]
        if not quota:
            return True
        self._verdict = check(name, who, quota, is_shared=name != "node")
        setattr(request._request, _REQUEST_KEY, self._verdict)
        return self._verdict.is_allowed

    def wait(self) -> float | None:
        """Seconds for Retry-After."""
        return self._verdict.retry_seconds if self._verdict else None


def _caller(request: Request, throttle: BaseThrottle) -> tuple[str, str]:
    """The class of the call, and who makes it."""
    kind = "read" if request.method in _SAFE else "write"
    if isinstance(request.auth, Node):
        return "node", f"node:{request.auth.pk}"
    if isinstance(request.auth, ApiToken):
        return kind, f"token:{request.auth.pk}"
    if request.user and request.user.is_authenticated:
        return kind, f"person:{request.user.pk}"
    return "anonymous", f"address:{throttle.get_ident(request)}"


@sync_and_async_middleware
def say_limits(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Middleware: `RateLimit` and `RateLimit-Policy` on every answer that was counted."""
    if inspect.iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            return _said(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _said(request, response)

    return answer


def _said(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    verdict: Verdict | None = getattr(request, _REQUEST_KEY, None)
    if verdict is not None:
        response["RateLimit-Policy"] = f'"{verdict.name}";q={verdict.quota};w={int(WINDOW_SECONDS)}'
        response["RateLimit"] = f'"{verdict.name}";r={verdict.remaining};t={verdict.reset_seconds}'
    return response
