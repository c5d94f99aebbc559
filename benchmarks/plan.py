"""How much is measured, and how: interleaved windows and their medians."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Plan:
    """`windows` of `seconds` for each side of a figure."""

    windows: int
    seconds: float
    depths: tuple[int, ...]
    clients: int
    agents: int

    def changed(self, **fields: object) -> Self:
        """The same with what was given on the command line."""
        return dataclasses.replace(self, **{name: value for name, value in fields.items() if value is not None})


def interleave(sides: Mapping[str, Callable[[], float]], windows: int) -> dict[str, list[float]]:
    """One window of each side in turn, `windows` times; what is compared shares the machine's weather."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(windows):
        names = list(sides)
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(sides[name]())
    return found


def ratio(ours: Sequence[float], anchor: Sequence[float]) -> float:
    """The median of the ratios of windows that were measured next to each other."""
    return statistics.median(mine / theirs for mine, theirs in zip(ours, anchor, strict=True) if theirs)


def percentile(values: Sequence[float], per_cent: float) -> float:
    """The value below which so many per cent lie; the highest of few."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * per_cent / 100))]
