"""What is done to each kind of process, and when it counts as back. Every choice comes from the seeded draw.

A kind that can be hit in two ways takes them by turns: the worker as a whole or one of its children; PostgreSQL with
all its processes or only the first; an agent killed, or stopped until it counts as dark.
"""

import contextlib
import os
import random
import shutil
import signal
from abc import ABC, abstractmethod

import psutil
import redis

from config.servers import paths
from tests.faults import late, waiting
from tests.faults.findings import Finding
from tests.faults.grid import Grid
from tests.faults.workload import Job

BACK_SECONDS = 120.0
CANARY = "faults:canary"


class Missed(Exception):
    """The blow did not hit what it was meant for: that was over in the same moment. Another job, another try."""


class Kill(ABC):
    """One blow. `strike` deals it, `wait_back` returns when the process, or its successor, works."""

    name = ""

    def __init__(self, grid: Grid, draw: random.Random, turn: int) -> None:
        self.grid, self.draw, self.turn = grid, draw, turn
        self.findings: list[Finding] = []
        """What the blow itself showed, beside what the audit finds."""

    @property
    def way(self) -> str:
        """How it is hit this time."""
        return "kill -9"

    def is_due(self, job: Job) -> bool:
        """Whether the moment is one at which this blow can be dealt."""
        return True

    @abstractmethod
    def strike(self, job: Job) -> None:
        """Deal the blow."""

    @abstractmethod
    def wait_back(self) -> None:
        """Return when it is back. Raises: Missed, waiting.NeverHappened, running.PlatformError."""


class Component(Kill):
    """A process that the supervisor keeps: kill -9, and another one must be ready."""

    def strike(self, job: Job) -> None:
        self._pid = self.grid.platform.kill(self.name)

    def wait_back(self) -> None:
        self.grid.platform.wait_restarted(self.name, self._pid, BACK_SECONDS)


class Web(Component):
    """The web process."""

    name = "web"


class Beat(Component):
    """The timer."""

    name = "beat"


class Matcher(Component):
    """The one writer of the books."""

    name = "matcher"


class Worker(Component):
    """Celery's main process, or one of the processes that it forked."""

    name = "worker"

    @property
    def way(self) -> str:
        return "kill -9 of one child" if self.turn % 2 else "kill -9 of the main process"

    def strike(self, job: Job) -> None:
        if not self.turn % 2:
            super().strike(job)
            return
        main = psutil.Process(self.grid.platform.pid("worker"))
        self._children = {child.pid for child in main.children()}
        self._child = self.draw.choice(sorted(self._children))
        os.kill(self._child, signal.SIGKILL)

    def wait_back(self) -> None:
        if not self.turn % 2:
            super().wait_back()
            return
        waiting.until(self._has_another_child, BACK_SECONDS, "a new child of the worker")

    def _has_another_child(self) -> bool:
        pid = self.grid.platform.pid("worker")
        if pid is None or not psutil.pid_exists(pid):
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            children = {child.pid for child in psutil.Process(pid).children()}
            return self._child not in children and len(children) >= len(self._children)
        return False


class Redis(Component):
    """Redis with all its files."""

    name = "redis"

    @property
    def way(self) -> str:
        return "kill -9, data files deleted"

    def strike(self, job: Job) -> None:
        with self._client() as client:
            client.set(CANARY, self.turn)
        super().strike(job)
        wipe_redis(self.grid)

    def wait_back(self) -> None:
        super().wait_back()
        with self._client() as client:
            if client.get(CANARY) is not None:
                self.findings.append(Finding("harness", "Redis came back with its data: the blow was none"))

    def _client(self) -> "redis.Redis":
        sockets = paths.socket_dir(self.grid.platform.run_dir, as_root=os.geteuid() == 0)
        return redis.Redis(unix_socket_path=str(sockets / "redis.sock"), db=2)


class Postgres(Component):
    """PostgreSQL: all processes at once, or the first alone, whose children must notice."""

    name = "postgres"

    @property
    def way(self) -> str:
        return "kill -9 of the first process" if self.turn % 2 else "kill -9 of all processes"

    def strike(self, job: Job) -> None:
        main = psutil.Process(self.grid.platform.pid("postgres"))
        others = [] if self.turn % 2 else main.children(recursive=True)
        super().strike(job)
        for other in others:
            with contextlib.suppress(psutil.NoSuchProcess):
                other.kill()


class Agent(Kill):
    """One machine's agent: killed and started again, or paused for so long that it counts as dark."""

    name = "agent"

    @property
    def way(self) -> str:
        return "SIGSTOP beyond the dark time" if self.turn % 2 else "kill -9"

    def is_due(self, job: Job) -> bool:
        self._held = late.running_attempts(self.grid, job.id)
        return bool(self._held)

    def strike(self, job: Job) -> None:
        newest = {held.node_id: held for held in self._held}
        self._attempt = newest[self.draw.choice(sorted(newest))]
        self._machine = self.grid.machine_of(self._attempt.node_id)
        if not self.turn % 2:
            self._machine.kill()
            return
        self._job = job
        self._machine.pause()

    def wait_back(self) -> None:
        if not self.turn % 2:
            self._machine.start()
            late.wait_heard(self.grid, self._machine)
            return
        held = (self.grid, self._machine, self._attempt, self._job)
        try:
            is_lost = late.leave_output(*held) and late.wait_taken_back(self.grid, self._attempt)
            if is_lost:
                self.findings += late.report(*held)
        finally:
            self._machine.resume()
        late.wait_heard(self.grid, self._machine)
        if not is_lost:
            raise Missed


def wipe_redis(grid: Grid) -> None:
    """Delete every file that Redis keeps."""
    state = paths.state_dir(grid.platform.run_dir, as_root=os.geteuid() == 0)
    for entry in (state / "redis").iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


KINDS: dict[str, type[Kill]] = {kind.name: kind for kind in (Web, Worker, Beat, Matcher, Agent, Redis, Postgres)}
