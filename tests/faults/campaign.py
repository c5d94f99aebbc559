"""Kills in a row on one grid: one job for each, struck between 20 % and 80 % of its tasks, then audited."""

import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

from config.supervision.running import PlatformError
from tests.faults import telling, waiting, workload
from tests.faults.audit import Auditor
from tests.faults.chatter import Chatter
from tests.faults.findings import Finding
from tests.faults.grid import Grid, running_grid
from tests.faults.kills import KINDS, Kill, Missed
from tests.faults.machines import AgentEnded
from tests.faults.member import Refused, Unanswered
from tests.faults.scenarios import SCENARIOS, Scenario

EARLIEST, LATEST = Fraction(1, 5), Fraction(4, 5)
LONGEST_DELAY_SECONDS = 0.3
PROGRESS_SECONDS = 240.0
TALKING_BEFORE = 1
"""So many tasks before the blow the member begins to write without pause."""
TRIES = 3
_SECONDS = "SELECT extract(epoch FROM coalesce(closed_at, now()) - submitted_at) FROM scheduler_job WHERE id = %s"
_ACCEPTED = "SELECT count(*) FROM scheduler_task WHERE job_id = %s AND state = 'ACCEPTED'"


@dataclass
class Outcome:
    """One fault: what was done, when, how long things took, and what was found."""

    kind: str
    number: int
    way: str = ""
    job: str = ""
    accepted_at_strike: int = 0
    tasks: int = 0
    acknowledged: int = 0
    """Writes acknowledged to the member by then."""
    back_seconds: float = 0.0
    job_seconds: float = 0.0
    seconds: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def line(self) -> str:
        """The outcome in words."""
        verdict = "ok" if not self.findings else f"{len(self.findings)} FINDINGS"
        return (
            f"  {self.kind:<15} {self.number:>3}  {self.way:<32} at {self.accepted_at_strike:>2}/{self.tasks} tasks  "
            f"back {self.back_seconds:5.1f} s  job {self.job_seconds:5.1f} s  all {self.seconds:5.1f} s  "
            f"{self.acknowledged:>5} acknowledged  {verdict}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Planned:
    """One fault of a run; together with the seed it says everything that is drawn."""

    kind: str
    number: int

    @classmethod
    def parse(cls, text: str, kills: int) -> "list[Planned]":
        """`web` means every kill of web, `web:3` the one with that number alone. Raises: ValueError."""
        kind, _, number = text.partition(":")
        if kind not in KINDS and kind not in SCENARIOS:
            raise ValueError(f"found {kind!r}; accepted are {', '.join((*KINDS, *SCENARIOS))}")
        if number:
            return [cls(kind, int(number))]
        return [cls(kind, number) for number in range(kills if kind in KINDS else 1)]


def run(plan: Sequence[Planned], seed: int) -> list[Outcome]:
    """Deal the blows one after the other on one grid; after findings on a new one."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(plan):
        began = time.monotonic()
        with running_grid(seed=seed) as grid:
            telling.say(
                f"  platform, cooperative and {len(grid.machines)} machines after {time.monotonic() - began:.1f} s"
            )
            auditor = Auditor(grid)
            for planned in plan[len(outcomes) :]:
                outcomes.append(one(auditor, planned, seed))
                if outcomes[-1].findings:
                    grid.is_kept = True
                    break
            else:
                outcomes[-1].findings += auditor.final()
                telling.say(f"  {auditor.journal.events} events of the market replayed twice, the same state")
    return outcomes


def one(auditor: Auditor, planned: Planned, seed: int) -> Outcome:
    """Deal one blow and audit. What never happens is a finding like any other."""
    kind, number = planned.kind, planned.number
    draw = random.Random(f"{seed}:{kind}:{number}")
    began = time.monotonic()
    outcome = Outcome(kind, number)
    try:
        if kind in SCENARIOS:
            _act(auditor, outcome, SCENARIOS[kind](auditor.grid, draw))
        else:
            _strike(auditor, outcome, KINDS[kind](auditor.grid, draw, number), draw)
    except (waiting.NeverHappened, AgentEnded, PlatformError, Unanswered, Refused) as error:
        outcome.findings.append(Finding("comes_back", str(error)))
    outcome.seconds = time.monotonic() - began
    telling.say(outcome.line())
    for finding in outcome.findings[:20]:
        telling.say(f"      {finding}")
    return outcome


def _strike(auditor: Auditor, outcome: Outcome, kill: Kill, draw: random.Random) -> None:
    """One blow in the middle of a job. A moment that was missed is tried again with another job."""
    grid = auditor.grid
    outcome.way = kill.way
    for attempt in range(TRIES):
        name = f"{outcome.kind} {outcome.number}.{attempt}"
        job = workload.submit(grid.member, grid.material, draw, name)
        outcome.job, outcome.tasks = f"{job.spec['runner']}, {job.spec['assurance']}", workload.TASKS
        if _struck(auditor, outcome, kill, job, draw):
            return
        outcome.findings += _close(auditor, [job])
    outcome.findings.append(Finding("harness", f"{TRIES} jobs were over before the moment to strike came"))


def _struck(auditor: Auditor, outcome: Outcome, kill: Kill, job: workload.Job, draw: random.Random) -> bool:
    grid = auditor.grid
    threshold = draw.randint(ceil(EARLIEST * outcome.tasks), int(LATEST * outcome.tasks))
    delay_seconds = draw.random() * LONGEST_DELAY_SECONDS
    _wait_accepted(grid, job, threshold - TALKING_BEFORE)
    with Chatter(grid, job.key) as chatter:
        _wait_accepted(grid, job, threshold)
        time.sleep(delay_seconds)  # the moment itself is drawn; no condition is waited for
        outcome.accepted_at_strike = _accepted(grid, job)
        is_hit = outcome.accepted_at_strike <= LATEST * outcome.tasks and kill.is_due(job)
        if is_hit:
            struck = time.monotonic()
            kill.strike(job)
            try:
                kill.wait_back()
            except Missed:
                is_hit = False
            outcome.back_seconds = time.monotonic() - struck
    _cancel(auditor, chatter.jobs)
    if not is_hit:
        return False
    outcome.acknowledged = len(grid.record.promises())
    outcome.findings += kill.findings
    forgotten = auditor.forgotten()
    outcome.findings += forgotten or _close(auditor, [job])
    outcome.job_seconds = _seconds_of(grid, job)
    return True


def _act(auditor: Auditor, outcome: Outcome, scenario: Scenario) -> None:
    outcome.way = scenario.way
    began = time.monotonic()
    jobs = scenario.play()
    outcome.back_seconds = time.monotonic() - began
    outcome.acknowledged = len(auditor.grid.record.promises())
    outcome.findings += scenario.findings
    outcome.findings += _close(auditor, jobs)
    outcome.tasks = sum(len(job.expected) for job in jobs)
    outcome.job_seconds = max(_seconds_of(auditor.grid, job) for job in jobs)


def _cancel(auditor: Auditor, job_ids: Sequence[int]) -> None:
    for job_id in job_ids:
        auditor.grid.member.cancel(job_id)
    auditor.cancelled.update(job_ids)


def _close(auditor: Auditor, jobs: Sequence[workload.Job]) -> list[Finding]:
    auditor.rest()
    return auditor.audit(jobs)


def _wait_accepted(grid: Grid, job: workload.Job, tasks: int) -> None:
    waiting.until(lambda: _accepted(grid, job) >= tasks, PROGRESS_SECONDS, f"{tasks} tasks of job {job.id} accepted")


def _accepted(grid: Grid, job: workload.Job) -> int:
    return int(grid.database.value(_ACCEPTED, job.id))


def _seconds_of(grid: Grid, job: workload.Job) -> float:
    """From submission to the end, by the database's clock; to now if it has not ended."""
    return float(grid.database.value(_SECONDS, job.id))
