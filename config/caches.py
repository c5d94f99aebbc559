"""The cache of counts, such as those of failed logins: Redis, and while it is away this process's own memory.

So a limit on guessing holds per process when it cannot hold for all of them together, and nobody is locked out.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

logger = logging.getLogger(__name__)
RETRY_SECONDS: Final = 1.0
"""After a failure, Redis is not asked again for so long, so that requests do not queue up waiting for it."""


class Outage:
    """Whether Redis is worth asking now."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    def is_on(self) -> bool:
        """Redis failed a moment ago."""
        return time.monotonic() < self._until

    def noted(self, error: Exception) -> None:
        """Redis has just failed; one line per outage and second."""
        with self._lock:
            if not self.is_on():
                logger.warning("Redis is away, counts are kept by this process alone: %s", error)
            self._until = time.monotonic() + RETRY_SECONDS


class SteadyCache(RedisCache):
    """Django's Redis cache over a memory of the process."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._outage = Outage()
        self._own = LocMemCache("steady", {"TIMEOUT": params.get("TIMEOUT", 300)})

    def _either(self, name: str, *given: Any, **more: Any) -> Any:
        if not self._outage.is_on():
            act: Callable[..., Any] = getattr(super(), name)
            try:
                return act(*given, **more)
            except redis.RedisError as error:
                self._outage.noted(error)
        return getattr(self._own, name)(*given, **more)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store unless it is there."""
        return bool(self._either("add", key, value, timeout, version))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """What is stored, else `default`."""
        return self._either("get", key, default, version)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store."""
        self._either("set", key, value, timeout, version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Forget."""
        return bool(self._either("delete", key, version))
