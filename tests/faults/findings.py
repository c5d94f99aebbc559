"""How the audit says that something which must hold does not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant: its name, and where it was seen broken."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


def differences(invariant: str, what: str, found: object, expected: object) -> Iterator[Finding]:
    """One finding when two values differ."""
    if found != expected:
        yield Finding(invariant, f"{what}: found {found}, expected {expected}")


def most_at_once(spans: Iterable[tuple[datetime, datetime | None, int]]) -> int:
    """The largest sum of weights of spans [begin, end) that overlap; an end of None has not come."""
    steps: list[tuple[datetime, int]] = []
    for begin, end, weight in spans:
        if end is not None and end <= begin:
            continue
        steps.append((begin, weight))
        if end is not None:
            steps.append((end, -weight))
    most = level = 0
    for _, change in sorted(steps):
        level += change
        most = max(most, level)
    return most
