"""How long to wait before a restart: longer after each failure, never in step with others."""

from dataclasses import dataclass


@dataclass
class Backoff:
    """Counts failures in a row; a component that was well for a while starts from zero again."""

    first_seconds: float = 0.25
    longest_seconds: float = 10.0
    healthy_seconds: float = 10.0
    failures: int = 0

    def after_failure(self, *, well_seconds: float, draw: float) -> float:
        """Return the seconds to wait: doubling up to the longest, scaled by 0.5 + draw / 2.

        `well_seconds` is how long the component had been ready, `draw` a random number in [0, 1).
        """
        if well_seconds >= self.healthy_seconds:
            self.failures = 0
        doubled = self.first_seconds * 2.0 ** min(self.failures, 32)
        self.failures += 1
        return min(self.longest_seconds, doubled) * (0.5 + draw / 2)
