"""Which cells a job's strip has: one per task, or one per run of neighbouring tasks when there are many."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

MAX_CELLS = 240
WORST_FIRST = ("FAILED", "RUNNING", "CHECKING", "WAITING", "CANCELLED", "ACCEPTED")


@dataclass(frozen=True)
class Cell:
    """Tasks `first` to `last` (inclusive); `state` is the one that wants to be seen most."""

    first: int
    last: int
    state: str
    counts: Mapping[str, int]

    @property
    def is_one(self) -> bool:
        """Whether the cell stands for a single task."""
        return self.first == self.last


def tasks_per_cell(total: int) -> int:
    """How many neighbouring tasks share a cell so that at most MAX_CELLS are drawn."""
    return max(1, -(-total // MAX_CELLS))


def cells(states: Sequence[tuple[int, str]]) -> list[Cell]:
    """Cells for tasks given as (index, state), ordered by index."""
    width = tasks_per_cell(len(states))
    return [_cell(states[start : start + width]) for start in range(0, len(states), width)]


def _cell(states: Sequence[tuple[int, str]]) -> Cell:
    counts = Counter(state for _, state in states)
    return Cell(first=states[0][0], last=states[-1][0], state=_worst(counts), counts=dict(counts))


def _worst(states: Iterable[str]) -> str:
    return min(states, key=WORST_FIRST.index)
