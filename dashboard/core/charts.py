"""Charts as the paths of an SVG of WIDTH x HEIGHT that is stretched to its place. Values in, geometry out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

WIDTH: Final = 1000
HEIGHT: Final = 200
PRICE_HEIGHT: Final = 150
"""What candles use of the height; the volume stands below."""


def _y(value: int, most: int, height: int = HEIGHT) -> int:
    return height - height * value // most if most else height


def line(values: Sequence[int | None], most: int) -> str:
    """A path through evenly spaced values from 0 to `most`; None leaves a gap, a lone value is a short dash."""
    return "".join(_stretch(points) for points in _stretches(values, most))


def area(values: Sequence[int | None], most: int) -> str:
    """The ground under `line`."""
    return "".join(f"{_stretch(p)}V{HEIGHT}H{p[0][0]}Z" for p in _stretches(values, most))


def _stretches(values: Sequence[int | None], most: int) -> list[list[tuple[int, int]]]:
    """Runs of points without a gap between them."""
    last = max(1, len(values) - 1)
    placed = [(WIDTH * place // last, value) for place, value in enumerate(values)]
    runs = (list(run) for known, run in groupby(placed, key=lambda point: point[1] is not None) if known)
    return [[(x, _y(value or 0, most)) for x, value in run] for run in runs]


def _stretch(points: Sequence[tuple[int, int]]) -> str:
    (x, y), *rest = points
    return f"M{x} {y}" + ("".join(f"L{x} {y}" for x, y in rest) or "h4")


def spark(values: Sequence[int]) -> str:
    """A line that uses the whole height between the least and the greatest value; level when they are the same."""
    low, high = min(values), max(values)
    if low == high:
        return f"M0 {HEIGHT // 2}H{WIDTH}"
    return line([value - low for value in values], high - low)


def lengths(values: Sequence[int]) -> list[int]:
    """How long bars that lie side by side are, the greatest WIDTH; what is not nothing is seen."""
    most = max(values, default=0)
    return [max(WIDTH // 100, WIDTH * value // most) if value > 0 else 0 for value in values]


def steps(points: Sequence[tuple[int, int]], low: int, high: int, most: int, *, to: int = WIDTH) -> str:
    """The ground under stairs: points are (price, lots reached), the best price first; the last step reaches `to`."""
    if not points:
        return ""
    reach = max(1, high - low)
    xs = [WIDTH * (price - low) // reach for price, _ in points]
    path = f"M{xs[0]} {HEIGHT}" + "".join(
        f"H{x}V{_y(reached, most)}" for x, (_, reached) in zip(xs, points, strict=True)
    )
    return f"{path}H{to}V{HEIGHT}Z"


@dataclass(frozen=True)
class Traded:
    """What a candle is made of."""

    first: int
    high: int
    low: int
    last: int
    volume: int


@dataclass(frozen=True)
class Candle:
    """Where a candle and the bar of its volume stand."""

    x: int
    width: int
    centre: int
    top: int
    height: int
    wick_top: int
    wick_bottom: int
    volume_top: int
    volume_height: int
    is_up: bool


def candles(traded: Sequence[Traded | None]) -> list[Candle | None]:
    """A candle for each step of time in which something traded, prices scaled between the least and the greatest."""
    known = [each for each in traded if each]
    if not known:
        return [None] * len(traded)
    low, high = min(each.low for each in known), max(each.high for each in known)
    pad = max(1, (high - low) // 10)
    low, reach = low - pad, high - low + 2 * pad
    most = max(each.volume for each in known)
    step = WIDTH // len(traded)
    return [_candle(each, place * step, step, low, reach, most) if each else None for place, each in enumerate(traded)]


def _candle(each: Traded, x: int, step: int, low: int, reach: int, most: int) -> Candle:
    top, bottom = (
        _y(value - low, reach, PRICE_HEIGHT) for value in (max(each.first, each.last), min(each.first, each.last))
    )
    volume = max(1, (HEIGHT - PRICE_HEIGHT - 8) * each.volume // max(1, most))
    return Candle(
        x=x + step // 6,
        width=max(1, step * 2 // 3),
        centre=x + step // 2,
        top=top,
        height=max(2, bottom - top),
        wick_top=_y(each.high - low, reach, PRICE_HEIGHT),
        wick_bottom=_y(each.low - low, reach, PRICE_HEIGHT),
        volume_top=HEIGHT - volume,
        volume_height=volume,
        is_up=each.last >= each.first,
    )
