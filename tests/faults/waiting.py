"""Waiting for conditions, never for time."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


class NeverHappened(AssertionError):
    """A condition did not come true in time; the text says which, and what was seen last."""


def until(condition: Callable[[], object], seconds: float, what: str, seen: Callable[[], object] | None = None) -> None:
    """Poll `condition` until it holds. Raises: NeverHappened after `seconds`, with what `seen` says then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            last = f"; seen last: {seen()}" if seen is not None else ""
            raise NeverHappened(f"after {seconds:g} s still not: {what}{last}")
        time.sleep(POLL_SECONDS)
