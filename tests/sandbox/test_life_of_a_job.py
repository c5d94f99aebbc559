"""Start, progress, cancel, collect, crash of the agent: what the agent loop relies on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gridnode import runtime
from gridnode.sandbox import orphans, watch
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import JobHandle, JobRefused, JobSpec, Limits, Outcome, Reason, SandboxUnavailable
from tests.sandbox.arena import PYTHON, Arena, wait_until

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def test_a_job_reads_its_inputs_and_returns_its_files_with_digests(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    (in_dir / "inputs").mkdir()
    (in_dir / "inputs" / "text").write_text("hello")
    spec = arena.spec(
        """
import os
os.makedirs("/out/part")
open("/out/part/copy", "w").write(open("/in/inputs/text").read() * 2)
"""
    )

    outcome = arena.sandbox.run(spec, in_dir, out_dir)

    assert outcome.succeeded
    assert [(file.path, file.size_bytes) for file in outcome.files] == [("part/copy", 10)]
    assert outcome.files[0].sha256 == hashlib.sha256(b"hellohello").hexdigest()
    assert (out_dir / "part" / "copy").read_text() == "hellohello"
    assert outcome.usage.wall_ms > 0
    assert arena.traces() == []


def test_a_failing_program_returns_its_exit_code_and_no_files(arena: Arena) -> None:
    outcome = arena.attack("open('/out/x', 'w').write('x'); raise SystemExit(7)")

    assert (outcome.reason, outcome.exit_code, outcome.files) == (Reason.NONZERO_EXIT, 7, ())


def test_the_tail_of_stdout_is_shown_while_the_job_runs(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    tails: list[bytes] = []
    code = "import time\nfor n in range(8): print(f'PROGRESS {n}', flush=True); time.sleep(0.1)"

    outcome = arena.sandbox.run(arena.spec(code), in_dir, out_dir, tails.append)

    assert outcome.succeeded
    assert 2 <= len(tails) <= 5
    assert tails[0].startswith(b"PROGRESS 0")
    assert outcome.stdout.startswith(tails[-1])


def test_a_failing_progress_callback_does_not_harm_the_job(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()

    def broken(tail: bytes) -> None:
        raise ValueError(tail)

    spec = arena.spec("import time; print('x', flush=True); time.sleep(0.4)")
    outcome = arena.sandbox.run(spec, in_dir, out_dir, broken)

    assert outcome.succeeded


def test_cancel_ends_a_job_at_once_and_twice_is_harmless(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    handle = arena.sandbox.start(arena.spec(SLEEP), in_dir, out_dir)
    assert arena.sandbox.poll(handle).running
    wait_until(lambda: len(arena.sandbox.processes_of(handle)) == 2)
    pids = arena.sandbox.processes_of(handle)
    arena.sandbox.cancel(handle)
    outcome = arena.sandbox.collect(handle, timeout_seconds=60)
    arena.sandbox.cancel(handle)

    assert outcome.reason is Reason.CANCELLED
    assert not arena.sandbox.poll(handle).running
    assert [pid for pid in pids if watch.started_at(pid)] == []
    assert arena.traces() == []


def test_cancel_right_after_start_ends_the_job_too(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    handle = arena.sandbox.start(arena.spec(SLEEP), in_dir, out_dir)

    arena.sandbox.cancel(handle)

    assert arena.sandbox.collect(handle, timeout_seconds=10).reason is Reason.CANCELLED
    assert arena.traces() == []


def test_a_job_outlives_the_thread_that_asked_for_it(arena: Arena) -> None:
    """bubblewrap dies with the thread that started it, so that must not be the caller's."""

    async def both() -> Outcome:
        in_dir, out_dir = arena.folders()
        handle = await asyncio.to_thread(
            arena.sandbox.start, arena.spec("import time; time.sleep(0.5)"), in_dir, out_dir
        )
        return await asyncio.get_running_loop().run_in_executor(None, arena.sandbox.collect, handle)

    assert asyncio.run(both()).reason is Reason.OK


def test_cancelling_the_awaiting_task_cancels_the_job_and_waits_for_its_end(arena: Arena) -> None:
    async def scenario() -> None:
        in_dir, out_dir = arena.folders()
        task = asyncio.create_task(arena.sandbox.run_async(arena.spec(SLEEP), in_dir, out_dir))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())

    assert arena.traces() == []


def test_several_jobs_run_at_once_without_seeing_each_other(arena: Arena) -> None:
    code = """
import os, time
open("/tmp/mine", "w").write("x"); open("/out/mine", "w").write(str(os.getpid()))
print(len([pid for pid in os.listdir("/proc") if pid.isdigit()]), os.listdir("/tmp"))
time.sleep(3)
"""
    handles = [arena.sandbox.start(arena.spec(code), *arena.folders()) for _ in range(4)]
    wait_until(lambda: all(len(arena.sandbox.processes_of(handle)) >= 2 for handle in handles))
    uids = [watch.uid_of(arena.sandbox.processes_of(handle)[0]) for handle in handles]

    outcomes = [arena.sandbox.collect(handle) for handle in handles]

    assert {outcome.stdout for outcome in outcomes} == {b"2 ['mine']\n"}
    assert all(outcome.succeeded for outcome in outcomes)
    assert len(set(uids)) == (4 if arena.root else 1)


def test_many_short_jobs_in_a_row_do_not_use_up_the_limits_of_a_uid(arena: Arena) -> None:
    outcomes = [arena.attack("pass", pids=8) for _ in range(15)]

    assert {outcome.reason for outcome in outcomes} == {Reason.OK}


def test_a_handle_survives_as_json_and_an_unknown_one_is_lost(arena: Arena) -> None:
    handle = JobHandle.from_json(JobHandle("0123456789abcdef").to_json())

    assert arena.sandbox.poll(handle).outcome == arena.sandbox.collect(handle)
    assert arena.sandbox.collect(handle).reason is Reason.LOST
    arena.sandbox.cancel(handle)


def test_collect_with_a_timeout_says_so_while_the_job_runs(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    handle = arena.sandbox.start(arena.spec(SLEEP), in_dir, out_dir)

    with pytest.raises(TimeoutError):
        arena.sandbox.collect(handle, timeout_seconds=0.05)

    arena.sandbox.cancel(handle)
    arena.sandbox.collect(handle)


def test_inputs_with_links_or_devices_are_refused(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    (in_dir / "model.onnx").symlink_to("/etc/passwd")

    with pytest.raises(JobRefused, match="input_not_plain"):
        arena.sandbox.start(arena.spec("pass"), in_dir, out_dir)


def test_an_input_folder_that_jobs_cannot_reach_is_refused_to_root(arena: Arena) -> None:
    closed = arena.folder / "closed"
    (closed / "in").mkdir(parents=True)
    os.chmod(closed, 0o700)

    if not arena.root:
        outcome = arena.sandbox.run(arena.spec("pass"), closed / "in", arena.folder / "closed-out")
        assert outcome.succeeded  # its own uid may
        return
    with pytest.raises(SandboxUnavailable, match=r"input_unreachable: .*closed"):
        arena.sandbox.start(arena.spec("pass"), closed / "in", arena.folder / "closed-out")


def test_an_output_folder_that_holds_files_is_refused(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    out_dir.mkdir()
    (out_dir / "old").write_text("x")

    with pytest.raises(JobRefused, match="output_not_empty"):
        arena.sandbox.start(arena.spec("pass"), in_dir, out_dir)


def test_a_program_that_cannot_be_executed_is_no_success(arena: Arena) -> None:
    outcome = arena.sandbox.run(JobSpec(("/rt/bin/nothing",), Limits()), *arena.folders())

    assert outcome.reason is Reason.NONZERO_EXIT
    assert b"No such file" in outcome.stderr


@pytest.mark.parametrize("field", ["wall_seconds", "memory_mib", "pids", "output_bytes"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "10"])
def test_limits_that_are_no_positive_integers_are_refused(field: str, value: object) -> None:
    with pytest.raises(JobRefused, match="limit_invalid"):
        Limits(**{field: value})  # type: ignore[arg-type]


def test_no_job_starts_before_the_self_test_has_passed(ground: Path, job_runtime: runtime.Runtime) -> None:
    sandbox = Sandbox(runtime=job_runtime, work_root=ground / "untested")
    in_dir = ground / "untested-in"
    in_dir.mkdir()

    with pytest.raises(SandboxUnavailable, match="sandbox_unavailable: self_test_not_passed"):
        sandbox.start(JobSpec((*PYTHON, "-c", "pass"), Limits()), in_dir, ground / "untested-out")

    sandbox.close()


def test_a_work_folder_belongs_to_one_agent_at_a_time(ground: Path, job_runtime: runtime.Runtime) -> None:
    first = Sandbox(runtime=job_runtime, work_root=ground / "shared")

    with pytest.raises(SandboxUnavailable, match="work_root_in_use"):
        Sandbox(runtime=job_runtime, work_root=ground / "shared")
    first.close()

    Sandbox(runtime=job_runtime, work_root=ground / "shared").close()


AGENT = """
    import sys, time
    from pathlib import Path
    from gridnode import runtime
    from gridnode.sandbox.executor import Sandbox
    from gridnode.sandbox.spec import JobSpec, Limits
    base = Path(sys.argv[1])
    sandbox = Sandbox(runtime=runtime.ensure_runtime(base / "runtime"), work_root=base / "crashing")
    code = "import os, time\\nfor _ in range(3):\\n    if os.fork() == 0: os.setsid()\\ntime.sleep(120)"
    handles = []
    for number in range(2):
        folder = base / f"crash-in{number}"; folder.mkdir()
        spec = JobSpec(("/rt/bin/python3", "-S", "-c", code), Limits(pids=16))
        handles.append(sandbox.start_probe(spec, folder, base / f"crash-out{number}"))
    while not all(len(sandbox.processes_of(handle)) == 9 for handle in handles): time.sleep(0.01)
    print(*(pid for handle in handles for pid in sandbox.processes_of(handle)), flush=True)
    time.sleep(120)
"""


def test_jobs_die_with_a_killed_agent_and_the_next_one_cleans_up(ground: Path, job_runtime: runtime.Runtime) -> None:
    agent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(AGENT), str(ground)], stdout=subprocess.PIPE, text=True
    )
    assert agent.stdout is not None
    pids = [int(pid) for pid in agent.stdout.readline().split()]
    started = {pid: watch.started_at(pid) for pid in pids}
    assert len(pids) == 18
    assert all(started.values())
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()

    wait_until(lambda: not any(started[pid] == watch.started_at(pid) for pid in pids))
    after = Sandbox(runtime=job_runtime, work_root=ground / "crashing")
    reaped = after.reap_orphans()
    again = after.reap_orphans()
    after.close()

    assert len(reaped.jobs) == 2
    assert again == orphans.Reaped()
    assert list((ground / "crashing" / "jobs").iterdir()) == []
    assert "crashing" not in Path("/proc/self/mountinfo").read_text()
    site = after._site
    assert site.groups is None or site.groups.leftovers(f"gridnode-{site.instance}-") == []


@pytest.mark.parametrize("same_process", [True, False])
def test_an_orphan_is_killed_only_if_it_is_the_recorded_process(
    ground: Path, job_runtime: runtime.Runtime, same_process: bool
) -> None:
    sandbox = Sandbox(runtime=job_runtime, work_root=ground / f"orphans-{same_process}")
    survivor = subprocess.Popen(["sleep", "120"])
    started = watch.started_at(survivor.pid)
    assert started is not None
    folder = sandbox.work_root / "jobs" / "00112233"
    folder.mkdir()
    state = {"init_pid": survivor.pid, "init_started": started if same_process else started - 1, "cgroups": []}
    (folder / "state.json").write_text(json.dumps(state))

    reaped = sandbox.reap_orphans()

    assert reaped.killed == int(same_process)
    assert (survivor.poll() is not None) or not same_process
    assert not folder.exists()
    survivor.kill()
    survivor.wait()
    sandbox.close()


def test_descriptors_of_the_agent_are_all_closed_again(arena: Arena) -> None:
    arena.attack("pass")
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        arena.attack("pass")

    assert len(os.listdir("/proc/self/fd")) == before
