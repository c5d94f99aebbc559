"""A living agent measures the machine, proves its sandbox, and states both again when it must."""

import dataclasses
from datetime import timedelta

import pytest

from gridnode import capabilities, clock, standing
from opengrid import benchmark, messages
from opengrid.messages import ExitReason
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import WRITE, Enliven, running

MEASURE = capabilities.measure


async def test_the_heart_beats_while_the_machine_is_measured(
    grid: Grid, enliven: Enliven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "measure", MEASURE)

    enliven()

    await until(lambda: grid.statements)
    assert len(grid.seen("POST /api/v1/node/heartbeat")) >= 3
    assert {beat.slots_free for beat in grid.beats} == {0}


async def test_a_first_measurement_that_a_busy_machine_spoiled_is_made_again(
    grid: Grid, enliven: Enliven, measured: messages.Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = iter([benchmark.BenchmarkFailed("the processes did not work at the same time")] * 2)

    def measure(_cores: int) -> messages.Benchmark:
        for failure in spoiled:
            raise failure
        return measured

    monkeypatch.setattr(standing, "FIRST_MEASURE_SECONDS", 0.01)
    monkeypatch.setattr(capabilities, "measure", measure)

    enliven()

    await until(lambda: grid.statements)
    assert grid.statements[0].benchmark == measured
    assert not list(spoiled)


async def test_after_a_day_the_sandbox_is_tested_and_stated_again_while_jobs_go_on(
    grid: Grid, enliven: Enliven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "LOOK_SECONDS", 0.2)
    attempt = grid.hand_out_script("import time; print('PROGRESS 250', flush=True); time.sleep(6)\n" + WRITE)
    enliven()
    await running(grid, attempt)
    beats = len(grid.beats)

    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(hours=25))

    await until(lambda: len(grid.statements) == 2)
    first, second = grid.statements
    assert second.sandbox.passed
    assert second.benchmark == first.benchmark  # nothing is measured while jobs run
    assert len(grid.beats) > beats
    await until(lambda: attempt in grid.results)
    assert grid.failures == {}


async def test_a_sandbox_that_fails_a_job_must_pass_its_test_again_before_the_next(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid.lots = 1
    enliven()
    await until(lambda: grid.seen("POST /api/v1/node/claim"))
    proved.sandbox.admit(None)

    failing, sound = grid.hand_out_script(WRITE), grid.hand_out_script(WRITE)

    await until(lambda: sound in grid.results)
    assert grid.failures[failing].exit_reason is ExitReason.SANDBOX_UNAVAILABLE
    assert len(grid.statements) == 2
    assert list(grid.failures) == [failing]


async def test_a_sandbox_that_cannot_pass_any_more_is_stated_with_its_reason_and_gets_no_work(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "FIRST_RETEST_SECONDS", 0.5)
    grid.lots = 1
    life = enliven()
    await until(lambda: grid.seen("POST /api/v1/node/claim"))
    site = proved.sandbox._site
    gone = dataclasses.replace(site.bubblewrap, path=site.bubblewrap.path.with_name("bwrap-is-gone"))
    proved.sandbox._site = dataclasses.replace(site, bubblewrap=gone)
    try:
        failing, waiting = grid.hand_out_script(WRITE), grid.hand_out_script(WRITE)
        await until(lambda: len(grid.statements) == 2)

        assert grid.failures[failing].exit_reason is ExitReason.SANDBOX_UNAVAILABLE
        assert not grid.statements[1].sandbox.passed
        assert "sandbox_unavailable" in grid.statements[1].sandbox.refusal
        assert life.agent.standing.slots == 0
        assert waiting not in grid.states
    finally:
        proved.sandbox._site = site
    await until(lambda: waiting in grid.results)
    assert grid.statements[-1].sandbox.passed
