"""The strip of a job as one short text: a letter per task, or per run of neighbouring tasks when there are many."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

MAX_CELLS: Final = 10_000
LETTERS: Final[Mapping[str, str]] = {
    "FAILED": "f",
    "RUNNING": "r",
    "CHECKING": "c",
    "WAITING": "w",
    "CANCELLED": "x",
    "ACCEPTED": "a",
}
"""State -> its letter, the state that wants to be seen most first."""
WORST_FIRST: Final = tuple(LETTERS)


def tasks_per_cell(total: int) -> int:
    """How many neighbouring tasks share a cell so that at most MAX_CELLS are drawn."""
    return max(1, -(-total // MAX_CELLS))


def cells(letters: str) -> str:
    """One letter per cell for tasks given as letters by index: the worst of those that share it."""
    width = tasks_per_cell(len(letters))
    if width == 1:
        return letters
    return "".join(_worst(letters[start : start + width]) for start in range(0, len(letters), width))


def runs(letters: str) -> str:
    """Letters with how often each repeats, as the page's script reads them: "aaawr" is "3awr"."""
    return "".join(f"{n if (n := len(list(same))) > 1 else ''}{letter}" for letter, same in groupby(letters))


def counts(letters: str) -> dict[str, int]:
    """State -> number of tasks in it, for the states that occur."""
    found = Counter(letters)
    return {state: found[letter] for state, letter in LETTERS.items() if found[letter]}


def _worst(letters: Iterable[str]) -> str:
    return min(letters, key="frcwxa".index)
