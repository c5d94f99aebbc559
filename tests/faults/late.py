"""The agent that was away too long: its attempt is given to somebody else, and what it says later is refused."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gridnode.client import Coordinator, Refused
from gridnode.home import Home
from opengrid import digests, keys, npy
from opengrid.messages import BlobRef, ExitReason, Receipt, ResultReply, ResultRequest, Usage, timestamp
from tests.faults import waiting, workload
from tests.faults.findings import Finding
from tests.faults.grid import Grid
from tests.faults.machines import Machine

LOST_SECONDS = 90.0
SEEN_SECONDS = 120.0
STALE = "stale_token"
_RUNNING = """
SELECT attempt.id, attempt.token, attempt.task_id, attempt.node_id, task.index, file.digest AS input_digest
  FROM scheduler_attempt AS attempt
  JOIN scheduler_task AS task ON task.id = attempt.task_id
  JOIN registry_blob AS file ON file.id = task.input_id
 WHERE task.job_id = %s AND attempt.state = 'RUNNING' ORDER BY attempt.id
"""


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt that a machine is running."""

    id: int
    token: int
    task_id: int
    node_id: int
    index: int
    input_digest: str


def running_attempts(grid: Grid, job_id: int) -> list[Held]:
    """The attempts of a job that are out now."""
    return [Held(**row) for row in grid.database.rows(_RUNNING, job_id)]


def leave_output(grid: Grid, machine: Machine, held: Held, job: workload.Job) -> bool:
    """Upload the right output of an attempt whose agent has just been paused, as that agent would have next.

    False when the attempt is over: its result had been on its way before the pause.
    """
    return asyncio.run(_Voice(grid, machine, held, job).leave_output())


def wait_taken_back(grid: Grid, held: Held) -> bool:
    """Wait until the attempt of a paused agent is over; False when a result of it was taken in all the same."""
    waiting.until(
        lambda: _state(grid, held) != "RUNNING", LOST_SECONDS, f"attempt {held.id} of the paused agent taken back"
    )
    return _state(grid, held) == "LOST"


def report(grid: Grid, machine: Machine, held: Held, job: workload.Job) -> list[Finding]:
    """Report the result of a lost attempt, at once, while somebody else may be running the task.

    The receipt is right in every respect but its token; result and further output must be refused for that alone.
    """
    return asyncio.run(_Voice(grid, machine, held, job).report())


def wait_heard(grid: Grid, machine: Machine) -> None:
    """Wait until the coordinator has heard from this machine again."""
    began = grid.database.value("SELECT now()")
    heard = "SELECT count(*) FROM nodes_node WHERE id = %s AND last_seen_at > %s AND state IN ('PROBATION', 'ACTIVE')"

    def is_heard() -> bool:
        machine.keep()
        return bool(grid.database.value(heard, machine.node_id, began))

    waiting.until(
        is_heard,
        SEEN_SECONDS,
        f"{machine.name} heard again",
        seen=machine.last_lines,
    )


def _state(grid: Grid, held: Held) -> str:
    found: str = grid.database.value("SELECT state FROM scheduler_attempt WHERE id = %s", held.id)
    return found


class _Voice:
    """Speaks for a machine with its own key, about one attempt."""

    def __init__(self, grid: Grid, machine: Machine, held: Held, job: workload.Job) -> None:
        self._machine, self._held = machine, held
        (self._name,) = {name for index, name in job.expected if index == held.index}
        expected = job.expected[held.index, self._name]
        self._data = expected if isinstance(expected, bytes) else npy.dump(expected)
        self._finished_at = timestamp(grid.database.value("SELECT now()"))

    async def leave_output(self) -> bool:
        coordinator = self._machine.coordinator()
        try:
            await self._upload(coordinator)
        except Refused as error:
            if error.code != STALE:
                raise
            return False
        finally:
            await coordinator.close()
        return True

    async def report(self) -> list[Finding]:
        coordinator = self._machine.coordinator()
        path = f"/node/attempts/{self._held.id}/result"
        try:
            result = coordinator.send("POST", path, self._result(), ResultReply)
            found = await _refused(f"result of lost attempt {self._held.id}", result)
            return found + await _refused(f"output of lost attempt {self._held.id}", self._upload(coordinator))
        finally:
            await coordinator.close()

    async def _upload(self, coordinator: Coordinator) -> BlobRef:
        with TemporaryDirectory() as folder:
            file = Path(folder) / self._name
            file.write_bytes(self._data)
            path = f"/node/attempts/{self._held.id}/{self._held.token}/outputs/{self._name}"
            return await coordinator.upload(path, file)

    def _result(self) -> ResultRequest:
        output = BlobRef(name=self._name, digest=digests.of_bytes(self._data), size_bytes=len(self._data))
        receipt = Receipt(
            attempt_id=self._held.id,
            token=self._held.token,
            task_id=self._held.task_id,
            node_id=self._held.node_id,
            input_digests=(self._held.input_digest,),
            outputs=(output,),
            exit_reason=ExitReason.OK,
            usage=Usage(wall_ms=1, cpu_ms=1, peak_memory_mib=1),
            runtime_digest=digests.of_bytes(b"what the paused agent runs on"),
            finished_at=self._finished_at,
        )
        key = Home(self._machine.home).key()
        return ResultRequest(receipt=receipt, signature=keys.sign_document(key, keys.RECEIPT, receipt.document()))


async def _refused(what: str, act: Awaitable[object]) -> list[Finding]:
    try:
        answer = await act
    except Refused as error:
        if error.code == STALE:
            return []
        return [Finding("stale_result_refused", f"{what} was refused as {error.code}, not as {STALE}")]
    return [Finding("stale_result_refused", f"{what} was taken in: {answer}")]
