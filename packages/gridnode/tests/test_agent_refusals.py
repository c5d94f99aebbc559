"""A living agent whose results are refused, whose tasks are forged or too many, or that has an error of its own."""

import logging

import pytest

from gridnode import capabilities
from gridnode.agent import Agent
from gridnode.execution import Executor, OnProgress, Result
from opengrid.messages import ExitReason, Runner, TaskAssignment
from packages.gridnode.tests import published
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import WRITE, Enliven
from packages.gridnode.tests.wire import problem

CLAIM = "POST /node/claim"


async def test_each_refusal_of_a_result_frees_the_slot_and_is_reported_where_that_helps(
    grid: Grid, enliven: Enliven
) -> None:
    grid.lots = 1
    stale, large, invalid, unsigned, sound = (grid.hand_out_script(WRITE) for _ in range(5))
    grid.fail(f"PUT /node/attempts/{stale}/*", problem(409, "stale_token"))
    grid.fail(f"PUT /node/attempts/{large}/*", problem(413, "too_much_output"))
    grid.fail(f"PUT /node/attempts/{invalid}/*", problem(422, "invalid"))
    grid.fail(f"POST /node/attempts/{unsigned}/result", problem(422, "wrong_receipt"))

    enliven()

    await until(lambda: sound in grid.results)
    assert list(grid.results) == [sound]
    assert {attempt: failure.exit_reason for attempt, failure in grid.failures.items()} == {
        large: ExitReason.BAD_OUTPUT,
        invalid: ExitReason.BAD_OUTPUT,
        unsigned: ExitReason.BAD_OUTPUT,
    }
    assert "too_much_output" in grid.failures[large].detail


async def test_a_forged_model_is_reported_and_never_run(grid: Grid, enliven: Enliven) -> None:
    model = published.model_ref(grid).model_copy(update={"signature": "A" * 86})
    attempt = grid.hand_out(runner=Runner.ONNX, model=model, inputs=(grid.add_blob(published.rows(), "rows.npy"),))

    enliven()

    await until(lambda: attempt in grid.failures)
    assert grid.failures[attempt].exit_reason is ExitReason.BAD_SIGNATURE
    assert grid.seen("GET /api/v1/node/blobs/*") == []


async def test_more_tasks_than_were_asked_for_go_back_at_once(grid: Grid, enliven: Enliven) -> None:
    grid.lots = 1
    ids = [grid.hand_out_script(WRITE) for _ in range(3)]
    tasks = [grid.queue.popleft() for _ in range(3)]
    grid.fail(CLAIM, grid.claimed(*tasks, tasks[0]))

    enliven()

    await until(lambda: len(grid.results) + len(grid.failures) == 3)
    assert list(grid.results) == ids[:1]
    assert {failure.exit_reason for failure in grid.failures.values()} == {ExitReason.LOST}
    assert all(beat.slots_free >= 0 for beat in grid.beats)


class ClumsyExecutor(Executor):
    """Meets an error of its own in the first task."""

    is_done = False

    async def run(self, task: TaskAssignment, on_progress: OnProgress) -> Result:
        """As the honest executor, but not the first time."""
        if not self.is_done:
            self.is_done = True
            raise ZeroDivisionError("a bug")
        return await super().run(task, on_progress)


class ClumsyAgent(Agent):
    """An agent with an error in it."""

    def make_executor(self, proved: capabilities.Proved) -> Executor:
        """What carries out assignments."""
        return ClumsyExecutor(self.home, self.coordinator, proved)


async def test_an_error_of_the_agent_in_one_task_is_logged_once_reported_and_survived(
    grid: Grid, enliven: Enliven, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = grid.hand_out_script(WRITE), grid.hand_out_script(WRITE)

    enliven(ClumsyAgent)

    await until(lambda: broken in grid.failures and sound in grid.results)
    assert grid.failures[broken].exit_reason is ExitReason.LOST
    assert grid.failures[broken].detail == "the agent: ZeroDivisionError"
    traces = [record for record in caplog.records if record.exc_info and record.name.startswith("gridnode")]
    assert len(traces) == 1
    assert traces[0].levelno == logging.ERROR
