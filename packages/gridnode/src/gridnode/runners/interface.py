"""What every runner offers, and the two line formats a driver speaks: PROGRESS and REFUSED."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gridnode.sandbox.collect import printable
from gridnode.sandbox.spec import JobRefused, JobSpec, Limits, Outcome

REFUSED_EXIT = 3
_PROGRESS = re.compile(rb"^PROGRESS (\d{1,4})$", re.MULTILINE)
_REFUSED = re.compile(r"^REFUSED ([a-z][a-z0-9_]{2,40}) (.*)$", re.MULTILINE)


class TaskRefused(JobRefused):
    """The task's files are not what the runner needs."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a runner's driver said about a task it could not do (typed code, printable text).

    It comes out of the sandbox, so it is a claim: a job may print anything.
    """

    code: str
    text: str


class Runner(Protocol):
    """A module with these names."""

    NAME: str

    def required_inputs(self) -> tuple[str, ...]:
        """Paths below the input folder that must exist."""

    def prepare(self, in_dir: Path, limits: Limits) -> JobSpec:
        """The sandbox job for the files in `in_dir`. Raises: TaskRefused (input_missing)."""


def progress(tail: bytes) -> int | None:
    """The last complete `PROGRESS <permille>` line in the tail of stdout, 0 to 1000, or None."""
    complete = tail[: tail.rfind(b"\n") + 1]
    found = _PROGRESS.findall(complete)
    return min(1000, int(found[-1])) if found else None


def refusal(outcome: Outcome) -> Refusal | None:
    """What the driver refused the task with, if it did."""
    if outcome.exit_code != REFUSED_EXIT:
        return None
    found = _REFUSED.findall(outcome.stderr.decode("utf-8", "replace"))
    return Refusal(found[-1][0], printable(found[-1][1])) if found else None


def require_files(in_dir: Path, names: tuple[str, ...]) -> None:
    """Raise TaskRefused unless each name is a regular file (no link) below `in_dir`."""
    for name in names:
        path = in_dir / name
        if path.is_symlink() or not path.is_file():
            raise TaskRefused("input_missing", f"the task has no file {name}")
