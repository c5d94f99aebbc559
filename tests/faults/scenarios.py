"""A part that stays away for a while: what needs it waits, what does not need it goes on, and nothing is lost.

While the part is away the supervisor is paused, so that nobody starts it again.
"""

import asyncio
import contextlib
import functools
import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import psutil

from opengrid.messages import OfferReply, OfferRequest
from tests.faults import kills, waiting, workload
from tests.faults.findings import Finding, differences
from tests.faults.founding import PRICES_MICRO
from tests.faults.grid import Grid, paused
from tests.faults.machines import Machine

SECONDS = 90.0
REDIS_AWAY_SECONDS = 20.0
MORE_CLAIMS = 4
_ACCEPTED = "SELECT count(*) FROM scheduler_task WHERE job_id = %s AND state = 'ACCEPTED'"
_CLAIMS = "SELECT count(*) FROM scheduler_attempt AS a JOIN scheduler_task AS t ON t.id = a.task_id WHERE t.job_id = %s"
_ORDERS = "SELECT count(*) FROM marketplace_order"
_SETTLED = "SELECT count(*) FROM ledger_transfer WHERE kind = 'settlement'"
_STATE = "SELECT state FROM scheduler_job WHERE id = %s"
_NOT_YET_DELIVERED = """
SELECT (SELECT count(*) FROM scheduler_task WHERE job_id = %s AND open_executions > 0)
     + (SELECT count(*) FROM scheduler_attempt AS a JOIN scheduler_task AS t ON t.id = a.task_id
         WHERE t.job_id = %s AND a.state = 'RUNNING')
"""
_BEAT = "SELECT progressed_at FROM config_processprogress WHERE component = 'BEAT'"
_MATCHER = "SELECT min(matcher_progress_at) FROM marketplace_pool"
_PLACED = "SELECT state FROM marketplace_order WHERE id = %s"


class Scenario(ABC):
    """One story; `play` returns the jobs that must have ended well after it."""

    name = ""
    way = ""

    def __init__(self, grid: Grid, draw: random.Random) -> None:
        self.grid, self.draw = grid, draw
        self.findings: list[Finding] = []

    @abstractmethod
    def play(self) -> list[workload.Job]:
        """Let it happen. Raises: waiting.NeverHappened."""

    def submit(self, name: str) -> workload.Job:
        """A job in quorum of two."""
        return workload.submit_sums(self.grid.member, self.grid.material, self.draw, f"{self.name}: {name}", "quorum-2")

    def wait_accepted(self, job: workload.Job, number: int) -> None:
        """Wait until so many tasks of a job are accepted."""
        waiting.until(lambda: self.value(_ACCEPTED, job.id) >= number, SECONDS, f"{number} tasks of job {job.id}")

    def wait_turned(self, query: str, what: str, turns: int = 2) -> None:
        """Wait until a process has noted its progress so many times more."""
        for _ in range(turns):
            before = self.value(query)
            waiting.until(functools.partial(self._differs, query, before), SECONDS, f"progress of the {what}")

    def value(self, query: str, *arguments: object) -> Any:
        """One value from the platform's database."""
        return self.grid.database.value(query, *arguments)

    def _differs(self, query: str, before: object) -> bool:
        return bool(self.value(query) != before)


class WorkerStopped(Scenario):
    """Without the worker no order is placed and no task is settled, though all the others do their part."""

    name = "worker-stopped"
    way = "stopped, then started"

    def play(self) -> list[workload.Job]:
        begun = self.submit("begun before")
        self.wait_accepted(begun, self.draw.randint(1, workload.TASKS // 2))
        with paused(self.grid.platform.process.pid):
            pid = self._stop()
            before = self._settled_and_ordered(begun)
            later = self.submit("submitted meanwhile")
            waiting.until(
                lambda: self.value(_NOT_YET_DELIVERED, begun.id, begun.id) == 0, SECONDS, "all results delivered"
            )
            self.wait_turned(_BEAT, "timer")
            self.wait_turned(_MATCHER, "matcher")
            self._check(begun, later, before)
        self.grid.platform.wait_restarted("worker", pid)
        return [begun, later]

    def _stop(self) -> int:
        """End the worker as an operator would; return the pid it had."""
        pid = self.grid.platform.pid("worker")
        worker = psutil.Process(pid)
        children = worker.children(recursive=True)
        worker.send_signal(signal.SIGTERM)
        waiting.until(lambda: _is_gone(worker) and all(map(_is_gone, children)), SECONDS, "the worker's end")
        assert pid is not None
        return pid

    def _settled_and_ordered(self, begun: workload.Job) -> tuple[int, int, int]:
        return self.value(_SETTLED), self.value(_ORDERS), self.value(_ACCEPTED, begun.id)

    def _check(self, begun: workload.Job, later: workload.Job, before: tuple[int, int, int]) -> None:
        after = self._settled_and_ordered(begun)
        for what, found, expected in zip(("settlements", "orders", "accepted tasks"), after, before, strict=True):
            self.findings += differences("worker_does_it", f"{what} while it was away", found, expected)
        self.findings += differences("worker_does_it", "the job meanwhile", self.value(_STATE, later.id), "SUBMITTED")
        if before[2] == workload.TASKS:
            self.findings.append(Finding("harness", "all tasks were settled before the worker was stopped"))


class RedisAway(Scenario):
    """Without Redis nobody is woken: orders are matched and work is claimed by timers."""

    name = "redis-away"
    way = f"away for {REDIS_AWAY_SECONDS:g} s, data deleted"

    def play(self) -> list[workload.Job]:
        begun = self.submit("begun before")
        self.wait_accepted(begun, 1)
        with paused(self.grid.platform.process.pid):
            pid = self.grid.platform.kill("redis")
            kills.wipe_redis(self.grid)
            back_at = time.monotonic() + REDIS_AWAY_SECONDS
            claims = self.value(_CLAIMS, begun.id)
            later = self.submit("submitted meanwhile")
            waiting.until(
                lambda: self.value(_CLAIMS, begun.id) >= claims + MORE_CLAIMS, SECONDS, f"{MORE_CLAIMS} more claims"
            )
            order = asyncio.run(_offer_anew(self.grid.machines[-1], PRICES_MICRO[-1] + self.draw.randint(1, 1000)))
            waiting.until(lambda: self.value(_PLACED, order) != "ACCEPTED", SECONDS, f"order {order} taken up")
            self.findings += differences("timers_do_it", f"order {order}", self.value(_PLACED, order), "OPEN")
            waiting.until(lambda: time.monotonic() >= back_at, SECONDS, "the end of the time without Redis")
        self.grid.platform.wait_restarted("redis", pid)
        return [begun, later]


def _is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


async def _offer_anew(machine: Machine, price_micro: int) -> int:
    """Replace the machine's standing offer, as its operator's agent may; returns the order's id."""
    coordinator = machine.coordinator()
    try:
        request = OfferRequest(lots=1, price_micro=price_micro)
        return (await coordinator.send("PUT", "/node/offer", request, OfferReply)).order_id
    finally:
        await coordinator.close()


SCENARIOS: dict[str, Callable[[Grid, random.Random], Scenario]] = {
    scenario.name: scenario for scenario in (WorkerStopped, RedisAway)
}
