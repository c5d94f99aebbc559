"""The operator's commands as processes of their own: sentences, exit codes, and an agent that ends cleanly."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from gridnode import capabilities, cli
from gridnode.client import Retired
from gridnode.home import Home, OpenAttempt
from opengrid.messages import ExitReason
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.wire import problem

TOKEN = "cgj_" + "t" * 40
WRITE = "open('/out/x', 'w').write('x')"
SLEEP = "import time\nprint('PROGRESS 250', flush=True)\ntime.sleep(120)"


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


async def start(*arguments: object, under: tuple[str, ...] = ()) -> asyncio.subprocess.Process:
    command = [*under, sys.executable, "-m", "gridnode", *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)


async def gridnode(*arguments: object, under: tuple[str, ...] = ()) -> Done:
    process = await start(*arguments, under=under)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def sentence(done: Done) -> str:
    """What a failure said: one line, no traceback, code 1."""
    assert done.code == 1, done
    assert done.err.startswith("gridnode: ")
    assert "Traceback" not in done.err
    return done.err


# --- join ------------------------------------------------------------------------------------------


async def test_a_machine_joins_once_and_the_same_command_again_changes_nothing(grid: Grid, home: Home) -> None:
    grid.tokens[TOKEN] = None

    done = await gridnode("join", grid.url + "/", "--token", TOKEN, "--home", home.folder)

    assert done == Done(0, f"joined Riverside as node 1; `gridnode run --home {home.folder}` starts it\n", "")
    assert home.identity().node_id == 1
    assert grid.nodes == {"1": home.key().public_text}
    assert (home.folder / "key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("token", "answer", "words"),
    [
        (TOKEN, problem(403, "join_token_refused", detail="unknown token"), "join_token_refused: unknown token"),
        (TOKEN, problem(409, "join_token_used", detail="each machine needs its own"), "join_token_used: each"),
        (TOKEN, problem(403, "join_token_refused", detail="the join token expired at noon"), "expired at noon"),
        ("short", None, "a join token has 20 to 200 characters"),
    ],
    ids=["wrong", "used", "expired", "no token at all"],
)
async def test_a_token_that_does_not_open_is_a_sentence(
    grid: Grid, home: Home, token: str, answer: object, words: str
) -> None:
    grid.tokens[token] = answer  # type: ignore[assignment]

    said = sentence(await gridnode("join", grid.url, "--token", token, "--home", home.folder))

    assert words in said
    assert not (home.folder / "node.json").exists()


async def test_what_is_typed_wrongly_is_a_sentence(grid: Grid, home: Home) -> None:
    grid.tokens[TOKEN] = None
    at_home = ("--token", TOKEN, "--home", home.folder)
    await grid.stop()

    assert "an address reads" in sentence(await gridnode("join", "grid.example.org", *at_home))
    assert "a name has 1 to 100" in sentence(await gridnode("join", grid.url, *at_home, "--name", "x" * 101))
    assert f"{grid.url} does not answer (ConnectError" in sentence(await gridnode("join", grid.url, *at_home))
    assert "holds no node; run `gridnode join" in sentence(await gridnode("status", "--home", home.folder))
    assert "holds no node" in sentence(await gridnode("run", "--home", home.folder))
    (home.folder / "node.json").write_text("{")
    assert "does not say where" in sentence(await gridnode("run", "--home", home.folder))
    await grid.start()


async def test_a_folder_of_another_coordinator_keeps_its_token_unused(grid: Grid, joined: Home) -> None:
    grid.tokens[TOKEN] = None

    said = sentence(await gridnode("join", "http://127.0.0.1:9", "--token", TOKEN, "--home", joined.folder))

    assert "belongs to node 1" in said
    assert grid.tokens == {TOKEN: None}


async def test_help_names_every_command_and_what_it_does() -> None:
    done = await gridnode("--help")

    assert done.code == 0
    for word in ("join", "run", "doctor", "status", "drain", "resume", "retire"):
        assert f"│ {word}" in done.out


# --- questions -------------------------------------------------------------------------------------


async def test_status_drain_resume_and_retire_show_what_the_coordinator_says(grid: Grid, joined: Home) -> None:
    folder = joined.folder

    assert (await gridnode("status", "--home", folder)).out.startswith("state: ACTIVE\nsellable: 2 lots, floor 1000")
    assert (await gridnode("drain", "--home", folder)).out.startswith("state: DRAINING\n")
    assert (await gridnode("resume", "--home", folder)).out.startswith("state: ACTIVE\n")
    assert (await gridnode("retire", "--home", folder)).out.startswith("state: RETIRED\n")

    assert "holds no node" in sentence(await gridnode("status", "--home", folder))
    assert (folder / "retired-1-key.pem").exists()


async def test_a_question_that_is_refused_is_a_sentence(grid: Grid, joined: Home) -> None:
    grid.fail("POST /node/resume", problem(409, "drained_by_owner", detail="the owner resumes it"))

    said = sentence(await gridnode("resume", "--home", joined.folder))

    assert said == "gridnode: drained_by_owner: the owner resumes it\n"


# --- the machine -----------------------------------------------------------------------------------


async def test_the_doctor_says_that_this_machine_can_run_tasks(home: Home, runtime_root: Path) -> None:
    done = await gridnode("doctor", "--home", home.folder, "--runtime-root", runtime_root)

    assert done.code == 0, done
    assert done.out.count("sandbox held: ") == 7
    assert done.out.endswith("this machine can run tasks\n")
    assert [path.name for path in home.folder.iterdir()] == []


@pytest.mark.parametrize("command", ["doctor", "run"])
async def test_a_machine_without_user_namespaces_is_refused_by_name_with_its_remedy(
    joined: Home, runtime_root: Path, proved: capabilities.Proved, command: str
) -> None:
    forbidding = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    under = ("unshare", "--user", "--map-root-user", "sh", "-c", forbidding, "sh")

    done = await gridnode(command, "--home", joined.folder, "--runtime-root", runtime_root, under=under)

    said = sentence(done)
    assert "sandbox_unavailable: userns_limit_zero" in said
    assert "sysctl -w user.max_user_namespaces=15000" in said


# --- a running agent -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(joined: Home, runtime_root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await start("run", "--home", joined.folder, "--runtime-root", runtime_root)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.communicate(), 30)


def told(grid: Grid, attempt_id: int) -> bool:
    """Whether a heartbeat said that the attempt's job is running."""
    beats = (entry for beat in grid.beats for entry in beat.attempts)
    return any(entry.attempt_id == attempt_id and entry.progress_permille == 250 for entry in beats)


def alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


async def test_an_agent_that_is_killed_disturbed_and_stopped_leaves_no_job_and_no_question(
    grid: Grid, joined: Home, runtime_root: Path, proved: capabilities.Proved
) -> None:
    """kill -9: the next start reports. A second agent: refused, disturbs nothing. SIGTERM: reported at once."""
    orphan = grid.hand_out_script(SLEEP)
    token = grid.queue[0].token
    async with running(joined, runtime_root) as process:
        await until(lambda: told(grid, orphan), 40)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        process.kill()
        await process.wait()
    await until(lambda: not alive(family))
    assert joined.open_attempts() == [OpenAttempt(orphan, token)]

    delivered, killed = grid.hand_out_script(WRITE), grid.hand_out_script(SLEEP)
    async with running(joined, runtime_root) as process:
        await until(lambda: delivered in grid.results and told(grid, killed), 40)
        assert grid.failures[orphan].exit_reason is ExitReason.LOST
        family = psutil.Process(process.pid).children(recursive=True)
        said = sentence(await gridnode("run", "--home", joined.folder, "--runtime-root", runtime_root))
        assert "work_root_in_use" in said
        assert list(grid.failures) == [orphan]
        assert [entry.attempt_id for entry in joined.open_attempts()] == [killed]

        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0, err.decode()
    assert out.decode() == "stopped\n"
    assert grid.failures[killed].exit_reason is ExitReason.LOST
    assert alive(family) == []
    assert joined.open_attempts() == []
    assert list((joined.work / "jobs").iterdir()) == []


def test_what_ended_an_agent_is_found_in_groups_of_groups() -> None:
    retired = Retired(403, "node_retired", "")

    assert cli._expected(ExceptionGroup("", [ExceptionGroup("", [retired])])) is retired
    mixed = ExceptionGroup("", [retired, ZeroDivisionError()])
    with pytest.raises(ExceptionGroup) as caught:
        cli._expected(mixed)
    assert caught.value is mixed


async def test_a_record_that_is_refused_ends_the_agent_with_a_sentence(
    grid: Grid, joined: Home, runtime_root: Path, proved: capabilities.Proved
) -> None:
    grid.fail("POST /node/capabilities", problem(422, "capabilities_refused", detail="the clock"))

    done = await gridnode("run", "--home", joined.folder, "--runtime-root", runtime_root)

    assert done.code == 1
    assert done.err.endswith("gridnode: capabilities_refused: the clock\n")
    assert "Traceback" not in done.err


def test_the_program_is_installed_under_its_name() -> None:
    assert os.access(Path(sys.executable).with_name("gridnode"), os.X_OK)
