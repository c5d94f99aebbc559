"""Bars and lines drawn by the server: figures in, coordinates out. The template gives them their colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

HEIGHT = 100
"""Of the drawing, in its own units; it is stretched to its place."""


@dataclass(frozen=True)
class Bar:
    """One bar: where it stands, how tall it is, and what it says to whoever points at it."""

    x: int
    y: int
    height: int
    words: str


def bars(values: Sequence[int], words: Sequence[str], *, step: int = 10, most: int | None = None) -> list[Bar]:
    """Bars of `values`, `step` apart, the largest (or `most`) as tall as the drawing. Nothing is drawn for 0."""
    top = max(most or 0, *values, 1) if values else 1
    return [
        Bar(x=number * step, y=HEIGHT - height, height=height, words=word)
        for number, (value, word) in enumerate(zip(values, words, strict=True))
        for height in [max(2, round(Fraction(value * HEIGHT, top))) if value else 0]
    ]


def width(values: Sequence[object], *, step: int = 10) -> int:
    """How wide the drawing of these values is."""
    return max(1, len(values)) * step
