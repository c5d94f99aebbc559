"""A living agent is stopped or was killed: its jobs end, and what was open is reported."""

import asyncio
import time

import pytest

from gridnode import agent as agents
from gridnode import capabilities, standing
from gridnode.agent import Agent
from gridnode.home import Home, OpenAttempt
from gridnode.sandbox import watch
from gridnode.sandbox.spec import JobHandle
from opengrid.messages import ExitReason
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import SLEEP, WRITE, Enliven, running, sandbox_jobs
from packages.gridnode.tests.wire import DROP, Reply, busy


async def test_an_agent_that_is_stopped_kills_its_jobs_and_reports_them_lost_at_once(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved
) -> None:
    attempts = [grid.hand_out_script(SLEEP) for _ in range(2)]
    life = enliven()
    for attempt in attempts:
        await running(grid, attempt)
    pids = [pid for job_id in sandbox_jobs(proved) for pid in proved.sandbox.processes_of(JobHandle(job_id))]
    alive = {pid: started for pid in pids if (started := watch.started_at(pid)) is not None}
    assert len(alive) == 4

    await life.end()

    assert {grid.failures[attempt].exit_reason for attempt in attempts} == {ExitReason.LOST}
    assert [pid for pid, started in alive.items() if watch.started_at(pid) == started] == []
    assert sandbox_jobs(proved) == []
    assert life.agent.home.open_attempts() == []
    assert list(life.agent.home.tasks.iterdir()) == []


async def test_what_could_not_be_reported_in_time_is_reported_by_the_next_start(
    grid: Grid, enliven: Enliven, joined: Home
) -> None:
    attempt = grid.hand_out_script(SLEEP)
    token = grid.queue[0].token
    life = enliven()
    await running(grid, attempt)
    grid.fail("POST /node/attempts/*", Reply(delay=asyncio.Event()))
    began = time.monotonic()

    await life.end()

    assert agents.FAREWELL_SECONDS <= time.monotonic() - began < agents.FAREWELL_SECONDS + 60
    assert joined.open_attempts() == [OpenAttempt(attempt, token)]
    assert grid.failures == {}

    enliven()

    await until(lambda: attempt in grid.failures)
    assert grid.failures[attempt].exit_reason is ExitReason.LOST
    await until(lambda: joined.open_attempts() == [])


async def test_attempts_of_an_agent_that_was_killed_are_reported_though_the_server_is_away_at_first(
    grid: Grid, enliven: Enliven, joined: Home
) -> None:
    stale = OpenAttempt(999, 1)
    attempt = grid.hand_out_script(WRITE)
    token = grid.queue.popleft().token
    grid.states[attempt] = "RUNNING"
    joined.save_open_attempts([OpenAttempt(attempt, token), stale])
    grid.fail("POST /node/attempts/*", busy(), DROP)

    enliven()

    await until(lambda: attempt in grid.failures)
    await until(lambda: joined.open_attempts() == [])


async def test_stopping_twice_or_while_the_server_is_gone_still_ends_cleanly(
    grid: Grid, enliven: Enliven, joined: Home, proved: capabilities.Proved
) -> None:
    attempt = grid.hand_out_script(SLEEP)
    life = enliven()
    await running(grid, attempt)
    await grid.stop()

    life.agent.stop(life.task)
    life.agent.stop(life.task)
    await life.end()

    assert sandbox_jobs(proved) == []
    assert [entry.attempt_id for entry in joined.open_attempts()] == [attempt]
    await grid.start()


def test_a_note_that_cannot_be_written_is_an_error_in_the_log_and_no_more(
    joined: Home, caplog: pytest.LogCaptureFixture
) -> None:
    (joined.folder / ".attempts.json.draft").mkdir()
    living = Agent(joined, standing.Settings())

    living._save_open()

    assert "what is running could not be noted" in caplog.text
