"""From what is known of a job to the reason why it ended: each fact alone, and which one wins."""

import dataclasses

import pytest

from gridnode.sandbox import judgement
from gridnode.sandbox.judgement import Facts
from gridnode.sandbox.spec import Limits, Reason, Rejection

LIMITS = Limits(
    wall_seconds=9,
    cpu_seconds=3,
    memory_mib=64,
    pids=8,
    output_bytes=1_000,
    output_files=5,
    stdout_bytes=700,
    file_bytes=600,
)
WELL = Facts(
    exit_code=0, oom_killed=False, verdict=None, is_stdout_exceeded=False, cpu_ms=3_000, full=None, was_full=None
)
OOM = (Reason.OOM, "more than 64 MiB")
CPU = (Reason.CPU, "more than 3 s of CPU time")
STDOUT = (Reason.STDOUT_LIMIT, "more than 700 bytes")
FILES = (Reason.FILE_COUNT, "more than 5 files")


def running(**facts: int | bool) -> judgement.Verdict | None:
    """The verdict over a job that uses exactly what it may, but for what is named."""
    used: dict[str, int | bool] = {
        "oom_killed": False,
        "memory_bytes": 64 << 20,
        "tasks": 8,
        "cpu_ms": 3_000,
        "has_too_many_files": False,
    }
    return judgement.while_running(LIMITS, **used | facts)  # type: ignore[arg-type]


def ended(**facts: object) -> judgement.Verdict:
    """The verdict over a job that ended well, but for what is named."""
    return judgement.at_the_end(LIMITS, dataclasses.replace(WELL, **facts))  # type: ignore[arg-type]


def test_a_job_that_uses_all_it_may_goes_on() -> None:
    assert running() is None


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"oom_killed": True}, OOM),
        ({"memory_bytes": (64 << 20) + 1}, OOM),
        ({"tasks": 9}, (Reason.NONZERO_EXIT, "more than 8 processes")),
        ({"cpu_ms": 3_001}, CPU),
        ({"has_too_many_files": True}, FILES),
    ],
)
def test_a_running_job_that_uses_more_earns_a_verdict(facts: dict[str, int | bool], verdict: judgement.Verdict) -> None:
    assert running(**facts) == verdict


def test_memory_comes_before_tasks_before_cpu_time_before_files() -> None:
    facts: dict[str, int | bool] = {
        "memory_bytes": 65 << 20, "tasks": 9, "cpu_ms": 3_001, "has_too_many_files": True,
    }  # fmt: skip
    found = []
    while facts:
        found.append(running(**facts))
        facts.pop(next(iter(facts)))

    assert found == [OOM, (Reason.NONZERO_EXIT, "more than 8 processes"), CPU, FILES]


def test_verdicts_of_the_supervisor_name_what_was_allowed() -> None:
    assert judgement.stdout_limit(LIMITS) == STDOUT
    assert judgement.too_slow(LIMITS) == (Reason.WALL, "longer than 9 s")
    assert judgement.cancelled() == (Reason.CANCELLED, "cancelled by the agent")


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({}, (Reason.OK, "")),
        ({"exit_code": 1}, (Reason.NONZERO_EXIT, "exit code 1")),
        ({"exit_code": 137}, (Reason.NONZERO_EXIT, "exit code 137")),  # SIGKILL, by its own hand
        ({"exit_code": 152}, CPU),  # SIGXCPU
        ({"cpu_ms": 3_001}, CPU),
        ({"exit_code": 153}, (Reason.DISK_QUOTA, "a file larger than 600 bytes")),  # SIGXFSZ
        ({"oom_killed": True}, OOM),
        ({"is_stdout_exceeded": True}, STDOUT),
        ({"verdict": judgement.cancelled()}, (Reason.CANCELLED, "cancelled by the agent")),
    ],
)
def test_each_fact_of_an_ended_job_has_its_reason(facts: dict[str, object], verdict: judgement.Verdict) -> None:
    assert ended(**facts) == verdict


@pytest.mark.parametrize(
    ("full", "was_full", "exit_code", "reason"),
    [
        (Reason.FILE_COUNT, None, 0, Reason.FILE_COUNT),
        (Reason.FILE_COUNT, Reason.DISK_QUOTA, 1, Reason.FILE_COUNT),
        (Reason.DISK_QUOTA, None, 1, Reason.DISK_QUOTA),
        (Reason.DISK_QUOTA, Reason.FILE_COUNT, 1, Reason.DISK_QUOTA),
        (None, Reason.DISK_QUOTA, 1, Reason.DISK_QUOTA),
        (None, Reason.FILE_COUNT, 153, Reason.FILE_COUNT),
    ],
)
def test_a_full_output_folder_explains_a_failure_and_too_many_files_are_one(
    full: Reason | None, was_full: Reason | None, exit_code: int, reason: Reason
) -> None:
    assert ended(full=full, was_full=was_full, exit_code=exit_code) == (reason, "the output folder is full")


@pytest.mark.parametrize("was_full", [Reason.DISK_QUOTA, Reason.FILE_COUNT])
def test_a_program_that_coped_with_a_full_folder_ended_well(was_full: Reason) -> None:
    assert ended(was_full=was_full) == (Reason.OK, "")
    assert ended(full=Reason.DISK_QUOTA, was_full=was_full) == (Reason.OK, "")


def test_memory_comes_before_the_verdict_before_output_before_cpu_time_before_the_folder() -> None:
    facts: dict[str, object] = {
        "oom_killed": True,
        "verdict": judgement.too_slow(LIMITS),
        "is_stdout_exceeded": True,
        "cpu_ms": 3_001,
        "full": Reason.DISK_QUOTA,
        "exit_code": 153,
    }
    found = []
    while facts:
        found.append(ended(**facts)[0])
        facts.pop(next(iter(facts)))

    assert found == [
        Reason.OOM, Reason.WALL, Reason.STDOUT_LIMIT, Reason.CPU, Reason.DISK_QUOTA, Reason.DISK_QUOTA,
    ]  # fmt: skip
    assert ended(exit_code=153, full=Reason.DISK_QUOTA)[1] == "the output folder is full"


@pytest.mark.parametrize(
    ("codes", "verdict"),
    [
        ((), (Reason.OK, "")),
        (("bad_name", "not_regular", "hard_link", "too_deep"), (Reason.OK, "")),
        (("too_many_files", "too_many_bytes"), FILES),
        (("bad_name", "too_many_bytes"), (Reason.DISK_QUOTA, "more than 1000 bytes")),
        (("file_too_large",), (Reason.DISK_QUOTA, "more than 1000 bytes")),
    ],
)
def test_too_many_or_too_large_files_are_the_jobs_failure(codes: tuple[str, ...], verdict: judgement.Verdict) -> None:
    assert judgement.after_collecting(LIMITS, [Rejection(code, "x") for code in codes]) == verdict
