"""The controls: with a promise of the platform broken on purpose, the same harness must find it out.

A harness that has only ever said "ok" has shown nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults import campaign, telling
from tests.faults.audit import Auditor
from tests.faults.campaign import Outcome, Planned
from tests.faults.grid import running_grid

COMMAND = ("-m", "tests.faults.control_up")
KILLS = 4


@dataclass(frozen=True)
class Control:
    """What is broken, which kills must show it, and the invariants of which at least one must then be found broken."""

    name: str
    switch: str
    kind: str
    numbers: Sequence[int]
    betrays: frozenset[str]


CONTROLS = (
    Control(
        name="fencing check removed",
        switch="--unfenced",
        kind="agent",
        numbers=tuple(range(1, 2 * KILLS, 2)),
        betrays=frozenset({"stale_result_refused", "task_paid_once", "nothing_left_running"}),
    ),
    Control(
        name="synchronous_commit=off",
        switch="--forgetful",
        kind="postgres",
        numbers=tuple(range(0, 2 * KILLS, 2)),
        betrays=frozenset({"acknowledged_write_exists"}),
    ),
)


@dataclass
class Shown:
    """How a control ended."""

    control: Control
    outcomes: list[Outcome]

    @property
    def is_caught(self) -> bool:
        """Whether the harness found what was broken."""
        return not self.control.betrays.isdisjoint(self.broken)

    @property
    def broken(self) -> list[str]:
        """The invariants that were found broken."""
        return sorted({finding.invariant for outcome in self.outcomes for finding in outcome.findings})


def run(seed: int) -> list[Shown]:
    """Play every control; each ends with the first kill that shows it."""
    return [_play(control, seed) for control in CONTROLS]


def _play(control: Control, seed: int) -> Shown:
    telling.say(f"control: {control.name}; {control.kind} is hit until that shows")
    shown = Shown(control, [])
    with running_grid(seed=seed, command=(*COMMAND, control.switch)) as grid:
        auditor = Auditor(grid)
        for number in control.numbers:
            shown.outcomes.append(campaign.one(auditor, Planned(control.kind, number), seed))
            if shown.outcomes[-1].findings:
                break
    verdict = f"caught: the harness fails on {', '.join(shown.broken)}" if shown.is_caught else "NOT CAUGHT"
    telling.say(f"  {control.name}: {verdict} (after {len(shown.outcomes)} kills)")
    return shown
