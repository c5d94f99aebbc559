"""A living agent, and what tests of it often ask."""

import asyncio
import contextlib
from collections.abc import Callable

from gridnode import capabilities
from gridnode.agent import Agent
from packages.gridnode.tests.coordinator import Coordinator, until

WRITE = "open('/out/x', 'w').write('x')"
SLEEP = "import time\nprint('PROGRESS 250', flush=True)\ntime.sleep(120)"


class Life:
    """A living agent and how to end it."""

    def __init__(self, agent: Agent, proved: capabilities.Proved) -> None:
        self.agent = agent
        self.task = asyncio.ensure_future(agent.live(proved))

    async def end(self) -> None:
        """Stop it as SIGTERM does and wait until it is gone. Raises what ended it before."""
        self.agent.stop(self.task)
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.agent.coordinator.close()


Enliven = Callable[..., Life]


def sandbox_jobs(proved: capabilities.Proved) -> list[str]:
    """The jobs that are in the sandbox now."""
    return [path.name for path in (proved.sandbox.work_root / "jobs").iterdir()]


def beat_of(grid: Coordinator, attempt_id: int) -> tuple[int, str]:
    """Progress and log tail of an attempt as the last heartbeat told them."""
    for entry in grid.beats[-1].attempts if grid.beats else ():
        if entry.attempt_id == attempt_id:
            return entry.progress_permille, entry.log_tail
    return 0, ""


async def running(grid: Coordinator, attempt_id: int) -> None:
    """Return when an attempt at SLEEP, or a script that says as much, was told to run."""
    await until(lambda: beat_of(grid, attempt_id)[0] == 250, what=f"attempt {attempt_id} is running")
