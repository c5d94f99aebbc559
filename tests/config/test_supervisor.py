"""The supervisor restarts what ends or stands still, keeps the order, and leaves no orphans.

The components here are tiny programs; test_platform.py does the same with the real ones.
"""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.servers import locks
from config.supervision.backoff import Backoff
from config.supervision.component import BusyError, Component, ProbeFailedError, State
from config.supervision.console import Console
from config.supervision.supervisor import Supervisor

SLEEP = "import time; time.sleep(600)"
COUNT_UP = """
import itertools, pathlib, sys, time
for number in itertools.count():
    pathlib.Path(sys.argv[1]).write_text(f"{time.monotonic_ns()}")
    time.sleep(0.05)
"""


def program(name: str, code: str, *arguments: str, **details) -> Component:
    return Component(name, lambda: [sys.executable, "-u", "-c", code, *arguments], **details)


def content(path: Path) -> str:
    return path.read_text() if path.exists() else "never"


def orphan_holding(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SLEEP], pass_fds=(descriptor,))


def counting(name: str, path: Path, **details) -> Component:
    """A component that proves its progress in a file."""

    async def progress() -> object:
        return content(path)

    return program(name, COUNT_UP, str(path), ready=progress, **details)


@contextlib.asynccontextmanager
async def supervised(*components: Component, log: io.StringIO | None = None, **details):
    supervisor = Supervisor(
        components,
        console=Console(log or io.StringIO()),
        make_backoff=lambda: Backoff(first_seconds=0.05, longest_seconds=0.2),
        draw=lambda: 0.0,
        **details,
    )
    running = asyncio.create_task(supervisor.main(handle_signals=False))
    try:
        yield supervisor
    finally:
        supervisor.stop("the test is over")
        assert await asyncio.wait_for(running, 30) in (0, 1)


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions of other processes
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_a_killed_component_is_started_again():
    async with supervised(program("sleeper", SLEEP)) as supervisor:
        await supervisor.wait_until_ready()
        killed = supervisor.pids()["sleeper"]

        os.kill(killed, signal.SIGKILL)
        await until(lambda: supervisor.starts("sleeper") == 2)

        assert supervisor.pids()["sleeper"] != killed
        assert not is_alive(killed)


async def test_a_component_that_keeps_failing_waits_longer_each_time(tmp_path):
    log = io.StringIO()
    async with supervised(program("failing", "raise SystemExit(7)"), log=log) as supervisor:
        await until(lambda: supervisor.starts("failing") >= 5)

    waits = [line.rsplit(" in ", 1)[1] for line in log.getvalue().splitlines() if "code 7" in line]
    assert waits[:4] == ["0.0 s", "0.1 s", "0.1 s", "0.1 s"]


async def test_a_component_that_stands_still_is_killed_and_started_again(tmp_path):
    log = io.StringIO()
    component = counting("counter", tmp_path / "count", stall_seconds=1.0)
    async with supervised(component, log=log) as supervisor:
        await supervisor.wait_until_ready()
        stopped = supervisor.pids()["counter"]

        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: supervisor.states()["counter"] == State.READY and supervisor.starts("counter") == 2)

        assert not is_alive(stopped)
    assert "counter is stalled for 1 s: its progress stands still at" in log.getvalue()


async def test_a_component_is_not_blamed_while_what_it_depends_on_is_away(tmp_path):
    answers = True

    async def answer() -> None:
        if not answers:
            raise ProbeFailedError("away")

    server = Component("server", None, ready=answer)
    component = counting("counter", tmp_path / "count", stall_seconds=1.0, judged_with=("server",))
    async with supervised(server, component) as supervisor:
        await supervisor.wait_until_ready()
        answers = False
        await asyncio.sleep(1.2)  # a probe of the server has failed by now
        os.kill(supervisor.pids()["counter"], signal.SIGSTOP)

        await asyncio.sleep(2.5)
        starts_while_away = supervisor.starts("counter")
        answers = True
        await until(lambda: supervisor.starts("counter") == 2)

        assert starts_while_away == 1


async def test_what_an_earlier_process_wrote_does_not_make_the_next_one_ready(tmp_path):
    (tmp_path / "count").write_text("left behind")

    async def progress() -> object:
        return content(tmp_path / "count")

    async with supervised(program("silent", SLEEP, ready=progress)) as supervisor:
        await until(lambda: supervisor.starts("silent") == 1)
        await asyncio.sleep(1.0)

        assert supervisor.states()["silent"] == State.STARTING


async def test_a_component_starts_after_what_it_needs_and_without_what_it_only_wants(tmp_path):
    log = io.StringIO()

    async def never() -> None:
        raise ProbeFailedError("never")

    absent = Component("absent", None, ready=never)
    first = program("first", "print('first ran')", runs_once=True)
    second = program("second", SLEEP, needs=("first",), wants=("absent",), wants_seconds=0.3)
    async with supervised(absent, first, second, log=log) as supervisor:
        await until(lambda: supervisor.states()["second"] == State.READY)

    text = log.getvalue()
    assert supervisor.starts("first") == 1
    assert text.index("first ran") < text.index("second starts without absent") < text.index("second is ready")


async def test_a_once_only_component_that_fails_too_often_ends_everything():
    log = io.StringIO()
    migrate = program("migrate", "raise SystemExit(1)", runs_once=True, boot_failures=3, boot_hint="Read it.")
    sleeper = program("sleeper", SLEEP)
    supervisor = Supervisor(
        [sleeper, migrate, program("web", SLEEP, needs=("migrate",))],
        console=Console(log),
        make_backoff=lambda: Backoff(first_seconds=0.01),
    )

    code = await asyncio.wait_for(supervisor.main(handle_signals=False), 30)

    assert code == 1
    assert supervisor.starts("migrate") == 3
    assert supervisor.starts("web") == 0
    assert supervisor.pids() == {}
    assert "cannot start: migrate ended with code 1. Read it." in log.getvalue()


async def test_a_server_that_is_busy_recovering_is_waited_for_beyond_the_limit():
    turn = 0

    async def busy_for_a_while() -> None:
        nonlocal turn
        turn += 1
        if turn < 12:
            raise BusyError("the database system is starting up")

    server = program("server", SLEEP, ready=busy_for_a_while, boot_seconds=0.5, start_seconds=0.5)
    async with supervised(server) as supervisor:
        await asyncio.wait_for(supervisor.wait_until_ready(), 20)

        assert supervisor.starts("server") == 1


async def test_a_component_waits_until_no_process_of_an_earlier_run_holds_its_lock(tmp_path):
    log = io.StringIO()
    lock = tmp_path / "server.lock"
    descriptor = locks.try_lock(lock)
    assert descriptor is not None
    orphan = orphan_holding(descriptor)
    os.close(descriptor)
    async with supervised(program("server", SLEEP, lock=lock), log=log) as supervisor:
        await until(lambda: "waits: processes of an earlier run still hold" in log.getvalue())
        assert supervisor.starts("server") == 0

        orphan.kill()
        orphan.wait()
        await until(lambda: supervisor.starts("server") == 1)

        assert locks.try_lock(lock) is None


async def test_giving_up_on_a_held_lock_says_which(tmp_path):
    lock = tmp_path / "server.lock"
    descriptor = locks.try_lock(lock)
    log = io.StringIO()
    server = program("server", SLEEP, lock=lock, boot_seconds=0.5)
    supervisor = Supervisor([server], console=Console(log))

    code = await asyncio.wait_for(supervisor.main(handle_signals=False), 30)

    os.close(descriptor)
    assert code == 1
    assert f"server was not ready within 0.5 s: processes of an earlier run still hold {lock}" in log.getvalue()


async def test_the_end_comes_in_reverse_order_and_children_of_children_die_too(tmp_path):
    log = io.StringIO()
    polite = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('ends'), sys.exit(0)))
time.sleep(600)
"""
    stubborn = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid)
time.sleep(600)
"""
    below = program("below", polite)
    above = replace(program("above", stubborn, needs=("below",)), stop_seconds=0.5)
    async with supervised(below, above, log=log) as supervisor:
        await until(lambda: supervisor.starts("above") == 1)
        await until(lambda: re.search(r" above +\| \d+\n", log.getvalue()))
        grandchild = int(re.search(r" above +\| (\d+)\n", log.getvalue())[1])
        above_pid = supervisor.pids()["above"]

    assert not is_alive(above_pid)
    await until(lambda: not is_alive(grandchild))  # killed already; the kernel needs a moment on a busy machine
    assert log.getvalue().rstrip().endswith("stopped.")
    assert "below    | ends" in log.getvalue()


async def test_the_status_file_names_the_process_of_each_component(tmp_path):
    path = tmp_path / "supervisor.json"
    async with supervised(program("sleeper", SLEEP), status_path=path, facts={"url": "u"}) as supervisor:
        await until(lambda: path.exists() and json.loads(path.read_text())["phase"] == "ready")
        found = json.loads(path.read_text())

        assert found["url"] == "u"
        assert found["supervisor_pid"] == os.getpid()
        assert found["components"]["sleeper"]["pid"] == supervisor.pids()["sleeper"]
        assert found["components"]["sleeper"]["state"] == "READY"
    found = json.loads(path.read_text())
    assert (found["phase"], found["components"]["sleeper"]["pid"]) == ("stopped", None)


SUPERVISED_FOR_REAL = """
import asyncio, pathlib, signal, sys
from config.supervision.component import Component
from config.supervision.console import Console
from config.supervision.supervisor import Supervisor

component = Component("sleeper", lambda: [sys.executable, "-c", "import time; time.sleep(600)"])
supervisor = Supervisor([component], console=Console(), status_path=pathlib.Path(sys.argv[1]))
sys.exit(asyncio.run(supervisor.main()))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_outlives_a_supervisor_however_it_ends(tmp_path, eventually, number):
    path = tmp_path / "supervisor.json"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED_FOR_REAL, str(path)], start_new_session=True, stdout=subprocess.DEVNULL
    )
    eventually(lambda: path.exists() and json.loads(path.read_text())["phase"] == "ready")
    child = json.loads(path.read_text())["components"]["sleeper"]["pid"]

    supervisor.send_signal(number)
    code = supervisor.wait(timeout=30)

    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    eventually(lambda: not is_alive(child))


def test_the_terminals_interrupt_reaches_the_supervisor_alone(tmp_path, eventually):
    path = tmp_path / "supervisor.json"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISED_FOR_REAL, str(path)], start_new_session=True, stdout=subprocess.DEVNULL
    )
    eventually(lambda: path.exists() and json.loads(path.read_text())["phase"] == "ready")
    child = json.loads(path.read_text())["components"]["sleeper"]["pid"]

    group = os.getpgid(supervisor.pid)

    assert os.getpgid(child) == child != group
    os.killpg(group, signal.SIGINT)
    assert supervisor.wait(timeout=30) == 0
