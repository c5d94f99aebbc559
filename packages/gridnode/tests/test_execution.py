"""One assignment in the real sandbox: what is fetched, refused, measured and brought back."""

import asyncio
import dataclasses
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gridnode import capabilities, execution
from gridnode.client import Coordinator
from gridnode.execution import Executor, Result, TaskFailed
from gridnode.home import Home
from opengrid import digests, keys, npy
from opengrid.messages import BlobRef, ExitReason, Runner, TaskAssignment, Usage
from packages.gridnode.tests import published
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.wire import Reply, busy, problem


@pytest.fixture
async def node(grid: Grid, home: Home) -> AsyncIterator[Coordinator]:
    found = Coordinator(grid.url, home.key(), grid.add_node(home.key().public_text))
    yield found
    await found.close()


@pytest.fixture
def executor(home: Home, node: Coordinator, proved: capabilities.Proved) -> Executor:
    found = Executor(home, node, proved)
    found.prepare()
    return found


def script(grid: Grid, text: str, **parts: object) -> TaskAssignment:
    grid.hand_out_script(text, **parts)
    return grid.queue.pop()


def onnx_task(grid: Grid, **parts: object) -> TaskAssignment:
    known = {"model": published.model_ref(grid), "inputs": (grid.add_blob(published.rows(), "rows.npy"),)}
    grid.hand_out(runner=Runner.ONNX, **known | parts)
    return grid.queue.pop()


async def run(executor: Executor, task: TaskAssignment) -> tuple[dict[str, bytes], list[tuple[int, str]]]:
    """Output files by name, and what was told meanwhile."""
    told: list[tuple[int, str]] = []
    result = await executor.run(task, lambda permille, tail: told.append((permille, tail)))
    files = {path.name: path.read_bytes() for path in execution.output_files(result)}
    executor.clean(task)
    return files, told


async def failure(executor: Executor, task: TaskAssignment) -> TaskFailed:
    with pytest.raises(TaskFailed) as caught:
        await run(executor, task)
    executor.clean(task)
    assert list(executor.home.tasks.iterdir()) == []
    return caught.value


# --- what works ------------------------------------------------------------------------------------


async def test_a_model_runs_over_all_rows(grid: Grid, executor: Executor) -> None:
    files, _ = await run(executor, onnx_task(grid))

    assert list(files) == ["y.npy"]
    assert (npy.load(files["y.npy"]) == published.expected()).all()
    assert list(executor.home.tasks.iterdir()) == []


async def test_the_model_is_fetched_once_and_its_signature_checked_each_time(grid: Grid, executor: Executor) -> None:
    first, second = onnx_task(grid), onnx_task(grid)
    assert first.model is not None

    await asyncio.gather(run(executor, first), run(executor, second))

    digest = digests.of_bytes(published.model_bytes())
    assert len(grid.seen(f"GET /api/v1/node/blobs/{digest}")) == 1
    forged = first.model.model_copy(update={"signature": "A" * 86})
    found = await failure(executor, onnx_task(grid, model=forged))
    assert found.reason is ExitReason.BAD_SIGNATURE


async def test_a_script_gets_its_inputs_and_leaves_its_outputs(grid: Grid, executor: Executor) -> None:
    text = """
import os, pathlib
for path in pathlib.Path(os.environ["INPUTS"]).iterdir():
    pathlib.Path(os.environ["OUT"], path.name).write_bytes(path.read_bytes()[::-1])
"""
    inputs = (grid.add_blob(b"abc", "one.txt"), grid.add_blob(b"xyz", "two.txt"))

    files, _ = await run(executor, script(grid, text, inputs=inputs))

    assert files == {"one.txt": b"cba", "two.txt": b"zyx"}


async def test_progress_never_falls_back_and_the_tail_is_harmless(grid: Grid, executor: Executor) -> None:
    text = r"""
import time, sys
for line in (b"PROGRESS 200", b"\x1b[2J\x00evil \xe2\x80\xae\xff", b"x" * 5000, b"PROGRESS 100", b"PROGRESS 700"):
    sys.stdout.buffer.write(line + b"\n"); sys.stdout.buffer.flush(); time.sleep(0.25)
open("/out/done", "w").close()
"""

    _, told = await run(executor, script(grid, text))

    shown = [permille for permille, _ in told]
    assert shown == sorted(shown)
    assert shown[0] == 200
    assert shown[-1] == 700
    assert any("[2Jevil" in tail for _, tail in told)
    assert all(len(tail) <= execution.LOG_CHARACTERS and tail.replace("\n", "").isprintable() for _, tail in told)


async def test_the_receipt_names_what_went_in_and_what_came_out(
    grid: Grid, executor: Executor, node: Coordinator
) -> None:
    task = onnx_task(grid)
    result = Result(Path("unused"), Usage(wall_ms=1, cpu_ms=1, peak_memory_mib=1))
    output = BlobRef(name="y.npy", digest=digests.of_bytes(b""), size_bytes=0)
    key = keys.PrivateKey.generate()

    receipt = executor.receipt(task, result, (output,), node_id=4)

    assert receipt.input_digests == (task.inputs[0].digest,)
    assert receipt.runtime_digest == executor.proved.runtime_digest
    keys.verify_document(key.public_text, keys.RECEIPT, receipt.document(), execution.sign_receipt(key, receipt))


# --- what the coordinator sends wrongly ------------------------------------------------------------


async def test_a_model_whose_signature_is_wrong_is_neither_fetched_nor_run(grid: Grid, executor: Executor) -> None:
    right = published.model_ref(grid)
    other = keys.PrivateKey.generate()
    forgeries = [
        right.model_copy(update={"signature": keys.sign_document(other, keys.MODEL_MANIFEST, right.manifest.encode())}),
        right.model_copy(update={"publisher_key": other.public_text}),
        right.model_copy(update={"publisher_key": "ed25519:" + "A" * 43}),
        right.model_copy(update={"manifest": right.manifest.replace("1.0.0", "1.0.1")}),
        right.model_copy(update={"manifest": "{}"}),
        right.model_copy(update={"manifest": ""}),
    ]

    for forged in forgeries:
        found = await failure(executor, onnx_task(grid, model=forged))
        assert found.reason is ExitReason.BAD_SIGNATURE

    assert grid.requests == []


@pytest.mark.parametrize(
    "reply", [Reply(200, b"wrong!!"), Reply(200, b"weights and more"), Reply(200, b"")], ids=["bytes", "long", "short"]
)
async def test_a_file_with_wrong_contents_is_fetched_again_and_then_told(
    grid: Grid, executor: Executor, reply: Reply
) -> None:
    task = script(grid, "pass")
    grid.fail("GET /node/blobs/*", *[reply] * execution.DOWNLOAD_TRIES)

    found = await failure(executor, task)

    assert found.reason is ExitReason.BAD_INPUT
    assert found.detail.startswith("main.py: ")
    assert len(grid.requests) == execution.DOWNLOAD_TRIES
    assert list(executor.home.cache.iterdir()) == []


async def test_one_wrong_transfer_does_not_fail_the_task(grid: Grid, executor: Executor) -> None:
    task = script(grid, "open('/out/x', 'w').write('x')")
    grid.fail("GET /node/blobs/*", Reply(200, b"wrong"), busy())

    files, _ = await run(executor, task)

    assert files == {"x": b"x"}


async def test_a_file_that_is_not_handed_out_fails_the_task(grid: Grid, executor: Executor) -> None:
    task = script(grid, "pass")
    grid.fail("GET /node/blobs/*", problem(404, "not_found"))

    found = await failure(executor, task)

    assert (found.reason, "not handed out" in found.detail) == (ExitReason.BAD_INPUT, True)


async def test_a_changed_file_in_the_cache_is_not_run(grid: Grid, executor: Executor) -> None:
    task = script(grid, "open('/out/x', 'w').write('right')")
    assert task.bundle is not None
    entry = executor.home.cache / task.bundle.digest.removeprefix("sha256:")
    entry.write_text("open('/out/x', 'w').write('wrong')")

    files, _ = await run(executor, task)

    assert files == {"x": b"right"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"runner": Runner.ONNX, "model": None}, "one model and one input"),
        ({"runner": Runner.PYTHON, "bundle": None}, "takes a bundle"),
    ],
)
async def test_an_assignment_that_lacks_a_part_is_refused(
    grid: Grid, executor: Executor, change: dict[str, object], words: str
) -> None:
    task = script(grid, "pass").model_copy(update=change)

    found = await failure(executor, task)

    assert (found.reason, words in found.detail) == (ExitReason.BAD_INPUT, True)


async def test_two_inputs_of_one_name_are_refused(grid: Grid, executor: Executor) -> None:
    inputs = (grid.add_blob(b"1", "same"), grid.add_blob(b"2", "same"))

    found = await failure(executor, script(grid, "pass", inputs=inputs))

    assert found.reason is ExitReason.BAD_INPUT


async def test_limits_that_no_sandbox_can_keep_are_refused(grid: Grid, executor: Executor) -> None:
    task = script(grid, "pass")
    impossible = task.limits.model_copy(update={"memory_mib": 1, "pids": 1})

    found = await failure(executor, task.model_copy(update={"limits": impossible}))

    assert (found.reason, "limit_invalid" in found.detail) == (ExitReason.BAD_INPUT, True)


# --- what jobs do wrongly --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise SystemExit(9)", ExitReason.NONZERO_EXIT),
        ("while True: print('x' * 10_000)", ExitReason.STDOUT_LIMIT),
        ("pass", ExitReason.BAD_OUTPUT),
        ("import os; os.mkdir('/out/a'); open('/out/a/b', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/' + chr(10) + 'a', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/a b', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/.hidden', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/-rf', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/' + 'a' * 120, 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("open('/out/caf\u00e9', 'w').write('x')", ExitReason.BAD_OUTPUT),
        ("import os; os.symlink('/etc/passwd', '/out/a')", ExitReason.BAD_OUTPUT),
    ],
)
async def test_what_a_job_does_wrongly_is_told_with_its_reason(
    grid: Grid, executor: Executor, text: str, reason: ExitReason
) -> None:
    found = await failure(executor, script(grid, text))

    assert found.reason is reason


async def test_what_a_job_writes_on_stderr_reaches_the_report_without_controls(grid: Grid, executor: Executor) -> None:
    found = await failure(executor, script(grid, r"import sys; sys.stderr.write('a\x00b\x1b[1mc'); sys.exit(1)"))

    assert "ab[1mc" in found.detail
    assert "\x00" not in found.detail


async def test_a_cancelled_task_leaves_no_process_and_no_file(grid: Grid, executor: Executor) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = script(grid, "import time; print('up', flush=True); time.sleep(60)")
    work = asyncio.ensure_future(executor.run(task, lambda *_: loop.call_soon_threadsafe(told.set)))
    await asyncio.wait_for(told.wait(), 20)

    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    executor.clean(task)

    assert list((executor.proved.sandbox.work_root / "jobs").iterdir()) == []
    assert list(executor.home.tasks.iterdir()) == []


# --- what the machine lacks ------------------------------------------------------------------------


@pytest.fixture
def small_files() -> Iterator[None]:
    """The operating system refuses this process to write beyond 64 KiB into one file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_that_the_disk_does_not_take_is_a_failure_of_the_node(
    grid: Grid, executor: Executor, small_files: None
) -> None:
    task = script(grid, "pass", inputs=(grid.add_blob(b"x" * 200_000, "big"),))

    found = await failure(executor, task)

    assert found.reason is ExitReason.LOST
    assert "could not keep the task's files" in found.detail


async def test_a_file_larger_than_the_free_disk_is_not_begun_and_the_cache_makes_room(
    grid: Grid, executor: Executor
) -> None:
    await run(executor, script(grid, "open('/out/x', 'w').write('x')"))
    assert len(list(executor.home.cache.iterdir())) == 1
    free = shutil.disk_usage(executor.home.folder).free
    huge = BlobRef(name="huge", digest=digests.of_bytes(b"?"), size_bytes=free + 1)
    grid.requests.clear()

    found = await failure(executor, script(grid, "pass", inputs=(huge,)))

    assert found.reason is ExitReason.LOST
    assert [entry.path for entry in grid.requests if digests.of_bytes(b"?") in entry.path] == []
    assert list(executor.home.cache.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_a_failure_of_the_node(grid: Grid, executor: Executor) -> None:
    executor.home.tasks.rmdir()
    executor.home.tasks.write_text("in the way")

    with pytest.raises(TaskFailed) as caught:
        await executor.run(script(grid, "pass"), lambda *_: None)

    assert caught.value.reason is ExitReason.LOST


async def test_a_sandbox_that_is_closed_runs_nothing(
    grid: Grid, executor: Executor, proved: capabilities.Proved
) -> None:
    proved.sandbox.admit(None)
    try:
        found = await failure(executor, script(grid, "open('/out/x', 'w').write('x')"))
    finally:
        proved.sandbox.admit(proved.record.key)

    assert found.reason is ExitReason.SANDBOX_UNAVAILABLE


def test_a_start_clears_what_an_earlier_agent_left(executor: Executor) -> None:
    left = executor.home.tasks / "7-71" / "in"
    left.mkdir(parents=True)
    (left / "main.py").write_text("x")

    executor.prepare()

    assert list(executor.home.tasks.iterdir()) == []


def test_a_failure_is_never_longer_than_a_message_takes() -> None:
    assert len(TaskFailed(ExitReason.LOST, "x" * 5000).detail) == execution.LOG_CHARACTERS


def test_limits_reach_the_sandbox_as_they_were_assigned(grid_task: TaskAssignment) -> None:
    found = dataclasses.asdict(execution._limits(grid_task))

    assert found["wall_seconds"] == found["cpu_seconds"] == grid_task.limits.wall_seconds
    assert found["memory_mib"] == grid_task.limits.memory_mib
    assert found["file_bytes"] == min(grid_task.limits.output_bytes, grid_task.limits.disk_mib << 20)


@pytest.fixture
def grid_task() -> TaskAssignment:
    grid = Grid()
    grid.hand_out_script("pass")
    return grid.queue.pop()
