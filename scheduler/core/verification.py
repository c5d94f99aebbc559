"""The verdict on a task from the results that different owners returned.

1. Fewer results than wanted: wait.
2. Group results that agree with each other, in order of arrival.
3. One group has enough results: its members win, the others lose.
4. Otherwise one tie-break by another owner, if there is one; otherwise the task fails and nobody is charged.

With n results wanted, a majority (n // 2 + 1) agrees; of two results both must.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_TIE_BREAKS = 1


@dataclass(frozen=True)
class Waiting:
    """More results are needed before anything can be said."""


@dataclass(frozen=True)
class Accepted:
    """Winners agreed and are paid; losers are rejected. `checked`: whether anything was compared."""

    winners: tuple[int, ...]
    losers: tuple[int, ...]
    checked: bool


@dataclass(frozen=True)
class TieBreak:
    """No agreement yet: one more owner must run the task."""


@dataclass(frozen=True)
class Disputed:
    """No agreement and nobody left to break the tie. `reason` is the task's typed reason."""

    reason: str


Verdict = Waiting | Accepted | TieBreak | Disputed


def verdict(
    results: Sequence[int],
    *,
    agree: Callable[[int, int], bool],
    wanted: int,
    tie_breaks: int,
    another_owner_exists: Callable[[], bool],
) -> Verdict:
    """Judge `results` (attempt ids in order of arrival). `agree` compares two results by id.

    `another_owner_exists` is asked only where the results do not agree.
    """
    if len(results) < wanted:
        return Waiting()
    groups = _groups(results, agree)
    best = max(groups, key=len)
    if len(best) >= _needed(wanted - tie_breaks):
        losers = tuple(result for result in results if result not in best)
        return Accepted(winners=tuple(best), losers=losers, checked=len(results) > 1)
    if tie_breaks >= MAX_TIE_BREAKS:
        return Disputed("no_agreement")
    if not another_owner_exists():
        return Disputed("no_third_owner")
    return TieBreak()


def _needed(bought: int) -> int:
    return bought // 2 + 1


def _groups(results: Sequence[int], agree: Callable[[int, int], bool]) -> list[list[int]]:
    """A result joins the first group whose earliest member it agrees with."""
    groups: list[list[int]] = []
    for result in results:
        for group in groups:
            if agree(group[0], result):
                group.append(result)
                break
        else:
            groups.append([result])
    return groups
