"""How long to wait before trying again: growing, jittered, and never less than was asked for."""

import random
from dataclasses import dataclass, field

LONGEST_ASKED_SECONDS = 300.0
"""A coordinator that asks for more is asked again after this long."""


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first_seconds` to `longest_seconds`, each shortened by up to a half at random."""

    first_seconds: float
    longest_seconds: float
    _next_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin with the shortest wait again."""
        self._next_seconds = self.first_seconds

    def wait_seconds(self, asked_seconds: float | None = None) -> float:
        """The next wait; at least `asked_seconds` (a Retry-After) and up to a quarter more."""
        wait = self._next_seconds * random.uniform(0.5, 1.0)  # noqa: S311 jitter, not a secret
        self._next_seconds = min(self._next_seconds * 2, self.longest_seconds)
        if asked_seconds is None:
            return wait
        asked = min(max(asked_seconds, 0.0), LONGEST_ASKED_SECONDS)
        return max(wait, asked * random.uniform(1.0, 1.25))  # noqa: S311


def jittered(seconds: float) -> float:
    """About `seconds`, so that many agents that began together do not stay in step."""
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311
