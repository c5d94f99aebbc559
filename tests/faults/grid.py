"""What a fault run works on: a platform of its own, three machines of three owners, a member with credit.

Everything is a child of this process and ends with it. The state lies in a short directory below /tmp, because
sockets need short paths; it is deleted in the end unless something went wrong.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.embedded import CHECKOUT
from config.servers import paths
from config.servers.endpoints import embedded_database
from config.supervision import spawn
from config.supervision.running import RunningPlatform
from tests.faults import telling, waiting, workload
from tests.faults.database import Database
from tests.faults.founding import NAMES
from tests.faults.machines import Machine
from tests.faults.member import Member
from tests.faults.record import Record

MACHINES_SECONDS = 180.0
COMMAND_SECONDS = 120
AS_SHIPPED = ("manage.py",)
_OFFERING = """
SELECT count(DISTINCT node.id) FROM nodes_node AS node JOIN marketplace_order AS offered ON offered.node_id = node.id
 WHERE node.state IN ('PROBATION', 'ACTIVE') AND offered.state = 'OPEN'
"""


class CommandFailed(RuntimeError):
    """A command of the platform ended with an error; the text holds its words."""


@dataclass
class Grid:
    """A running platform with its cooperative."""

    folder: Path
    platform: RunningPlatform
    database: Database
    record: Record
    machines: list[Machine]
    member: Member
    material: workload.Material
    issued_micro: dict[str, int]
    member_token: str
    is_kept: bool = False
    """Set when the state shall be looked at afterwards."""

    def another_member(self) -> Member:
        """A second program of the same member, for another thread."""
        return Member(self.platform.url, self.member_token, self.record)

    def machine_of(self, node_id: int) -> Machine:
        """The machine that is this node."""
        return next(machine for machine in self.machines if machine.node_id == node_id)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a Python program with the platform's environment to its end."""
        return _python(self.platform.run_dir, *command)


@contextlib.contextmanager
def running_grid(*, seed: int, machines: int = 3, command: Sequence[str] = AS_SHIPPED) -> Iterator[Grid]:
    """Start everything and wait until all machines (at most three) offer; end everything afterwards.

    `command` is what takes the arguments of `manage.py up`.
    Raises: running.PlatformError, CommandFailed, machines.JoinFailed, machines.AgentEnded, waiting.NeverHappened.
    """
    folder = Path(tempfile.mkdtemp(prefix="cg-faults-", dir="/tmp"))
    folder.chmod(0o755)  # root's jobs run as other users, which must be able to pass
    is_kept = True
    try:
        with contextlib.ExitStack() as stack:
            platform = stack.enter_context(_start(folder / "run", folder / "platform.log", command))
            grid = _furnish(stack, folder, platform, machines, seed)
            yield grid
            is_kept = grid.is_kept
    finally:
        if is_kept:
            telling.say(f"the state is kept in {folder}")
        else:
            platform.forget()
            shutil.rmtree(folder)


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Stop a process for the time of the block.

    A shell that waits for the end of a pipe lets it go on: that happens even if this process is killed.
    """
    guardian = subprocess.Popen(
        ["/bin/sh", "-c", 'read -r _; kill -CONT "$0"', str(pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        guardian.communicate()


def _start(run_dir: Path, log: Path, command: Sequence[str]) -> RunningPlatform:
    run_dir.mkdir(mode=0o700)
    with log.open("ab") as stream:
        process = spawn.spawn(
            [sys.executable, *command, "up", "--port=0"],
            death_signal=signal.SIGTERM,
            environment=_environment(run_dir),
            directory=CHECKOUT,
            output=stream,
        )
    return RunningPlatform(process, run_dir, log)


def _furnish(stack: contextlib.ExitStack, folder: Path, platform: RunningPlatform, count: int, seed: int) -> Grid:
    platform.wait_ready()
    founded = _act(platform.run_dir, "people")
    record = Record(folder / "record.jsonl")
    member = Member(platform.url, founded["member_token"], record)
    publisher = Member(platform.url, founded["publisher_token"], record)
    stack.callback(member.close)
    machines = []
    for name, token in list(zip(NAMES, founded["join_tokens"], strict=True))[:count]:
        machine = Machine(name, folder / "machines", folder / "machines" / "runtime", _environment(platform.run_dir))
        machine.join(platform.url, token)
        stack.callback(machine.stop)
        machine.start()
        machines.append(machine)
    material = workload.prepare(member, publisher, seed)
    publisher.close()
    if machines:
        _act(platform.run_dir, "share", str(machines[0].node_id))
    sockets = paths.socket_dir(platform.run_dir, as_root=os.geteuid() == 0)
    database = Database(embedded_database(sockets).psycopg())
    stack.callback(database.close)

    def all_offer() -> bool:
        for machine in machines:
            machine.keep()
        return bool(database.value(_OFFERING) == len(machines))

    waiting.until(
        all_offer,
        MACHINES_SECONDS,
        "all machines on the market",
        seen=lambda: "\n".join(f"{machine.name}:\n{machine.last_lines()}" for machine in machines),
    )
    return Grid(
        folder=folder,
        platform=platform,
        database=database,
        record=record,
        machines=machines,
        member=member,
        material=material,
        issued_micro=founded["issued_micro"],
        member_token=founded["member_token"],
    )


def _act(run_dir: Path, *arguments: str) -> dict[str, Any]:
    """One act of tests.faults.founding. Raises: CommandFailed."""
    done = _python(run_dir, "-m", "tests.faults.founding", *arguments)
    if done.returncode:
        raise CommandFailed(f"founding {arguments}: {done.stdout}{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _python(run_dir: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env=_environment(run_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )


def _environment(run_dir: Path) -> dict[str, str]:
    """The environment of the platform's processes: servers of its own, whatever this process was given."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COMMONGRID_RUN_DIR": str(run_dir),
        "DATABASE_URL": "",
        "REDIS_URL": "",
    }
