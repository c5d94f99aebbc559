"""What a job's facts come to: the typed reason why it ended and a detail for people. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gridnode.sandbox.spec import Limits, Reason, Rejection

Verdict = tuple[Reason, str]

_SIGXCPU_EXIT, _SIGXFSZ_EXIT = 128 + 24, 128 + 25


def stdout_limit(limits: Limits) -> Verdict:
    """For stdout and stderr that hold more than they may."""
    return Reason.STDOUT_LIMIT, f"more than {limits.stdout_bytes} bytes"


def cancelled() -> Verdict:
    """For a job that the agent no longer wants."""
    return Reason.CANCELLED, "cancelled by the agent"


def too_slow(limits: Limits) -> Verdict:
    """For a job that runs longer than it may."""
    return Reason.WALL, f"longer than {limits.wall_seconds} s"


def while_running(
    limits: Limits, *, oom_killed: bool, memory_bytes: int, tasks: int, cpu_ms: int, has_too_many_files: bool
) -> Verdict | None:
    """The verdict that a running job has earned, if any; memory comes before tasks, CPU time and files."""
    if oom_killed or memory_bytes > limits.memory_bytes:
        return _oom(limits)
    if tasks > limits.pids:
        return Reason.NONZERO_EXIT, f"more than {limits.pids} processes"
    if cpu_ms > limits.cpu_seconds * 1000:
        return _cpu(limits)
    if has_too_many_files:
        return _file_count(limits)
    return None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a job of which no process is left.

    `exit_code` is 128 + signal for a killed program; `verdict` is what the job had earned while it
    ran; `cpu_ms` counts all its processes; `full` is the limit that /out stands at now, `was_full`
    one that it had reached before.
    """

    exit_code: int
    oom_killed: bool
    verdict: Verdict | None
    is_stdout_exceeded: bool
    cpu_ms: int
    full: Reason | None
    was_full: Reason | None


def at_the_end(limits: Limits, facts: Facts) -> Verdict:
    """Why the job ended. The first that holds of: out of memory (even if the parent exits 0), the
    verdict while it ran, too much output, CPU time, a full /out, a file too large, the exit code."""
    if facts.oom_killed:
        return _oom(limits)
    if facts.verdict is not None:
        return facts.verdict
    if facts.is_stdout_exceeded:
        return stdout_limit(limits)
    if facts.exit_code == _SIGXCPU_EXIT or facts.cpu_ms > limits.cpu_seconds * 1000:
        return _cpu(limits)
    full = facts.full or facts.was_full
    if full is not None and (facts.full is Reason.FILE_COUNT or facts.exit_code != 0):
        return full, "the output folder is full"
    if facts.exit_code == _SIGXFSZ_EXIT:
        return Reason.DISK_QUOTA, f"a file larger than {limits.file_bytes} bytes"
    if facts.exit_code != 0:
        return Reason.NONZERO_EXIT, f"exit code {facts.exit_code}"
    return Reason.OK, ""


def after_collecting(limits: Limits, rejected: Iterable[Rejection]) -> Verdict:
    """What becomes of a job that ended well when its files were taken over: too many or too large
    ones are its failure, other rejections only leave files behind."""
    codes = {rejection.code for rejection in rejected}
    if "too_many_files" in codes:
        return _file_count(limits)
    if codes & {"too_many_bytes", "file_too_large"}:
        return Reason.DISK_QUOTA, f"more than {limits.output_bytes} bytes"
    return Reason.OK, ""


def _oom(limits: Limits) -> Verdict:
    return Reason.OOM, f"more than {limits.memory_mib} MiB"


def _cpu(limits: Limits) -> Verdict:
    return Reason.CPU, f"more than {limits.cpu_seconds} s of CPU time"


def _file_count(limits: Limits) -> Verdict:
    return Reason.FILE_COUNT, f"more than {limits.output_files} files"
