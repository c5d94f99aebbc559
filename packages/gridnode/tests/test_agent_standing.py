"""A living agent follows the node's state and the owner's terms."""

import asyncio

import pytest

from gridnode import capabilities, standing
from gridnode.client import Refused, Retired
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import SLEEP, WRITE, Enliven, running, sandbox_jobs
from packages.gridnode.tests.wire import problem


async def test_a_node_that_may_not_work_claims_nothing_until_it_may_again(grid: Grid, enliven: Enliven) -> None:
    enliven()
    await until(lambda: grid.offers and grid.seen("POST /api/v1/node/claim"))

    for state, price in (("DRAINING", 5000), ("QUARANTINED", 6000)):
        grid.node_state = state
        grid.beats.clear()
        await until(lambda: grid.beats and grid.beats[-1].slots_free == 0)
        claims, beats = len(grid.seen("POST /api/v1/node/claim")), len(grid.beats)
        attempt = grid.hand_out_script(WRITE)
        await until(lambda count=beats: len(grid.beats) > count)
        await grid.wake()
        await until(lambda count=beats: len(grid.beats) > count + 1)
        assert len(grid.seen("POST /api/v1/node/claim")) == claims

        grid.node_state, grid.floor_price_micro = "PROBATION", price

        await until(lambda wanted=attempt: wanted in grid.results)
        assert grid.offers[-1].price_micro == price


async def test_a_draining_node_finishes_what_runs(grid: Grid, enliven: Enliven) -> None:
    attempt = grid.hand_out_script("import time; print('PROGRESS 250', flush=True); time.sleep(2)\n" + WRITE)
    enliven()
    await running(grid, attempt)

    grid.node_state = "DRAINING"

    await until(lambda: attempt in grid.results)


async def test_a_quarantined_nodes_attempts_are_stopped_when_they_are_taken_away(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved
) -> None:
    attempt = grid.hand_out_script(SLEEP)
    enliven()
    await running(grid, attempt)

    grid.node_state, grid.states[attempt] = "QUARANTINED", "CANCELLED"

    await until(lambda: not grid.beats[-1].attempts)
    assert sandbox_jobs(proved) == []


async def test_a_node_released_without_capacity_states_it_again(grid: Grid, enliven: Enliven) -> None:
    enliven()
    await until(lambda: grid.statements)
    grid.node_state = "QUARANTINED"
    await until(lambda: grid.beats[-1].slots_free == 0)

    grid.node_state = "JOINED"

    await until(lambda: len(grid.statements) == 2)
    assert grid.statements[1].sandbox.passed


async def test_a_retired_node_ends(grid: Grid, enliven: Enliven, proved: capabilities.Proved) -> None:
    attempt = grid.hand_out_script(SLEEP)
    life = enliven()
    await running(grid, attempt)

    grid.node_state = "RETIRED"

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(asyncio.shield(life.task), 20)
    assert caught.group_contains(Retired)
    assert sandbox_jobs(proved) == []
    life.task = asyncio.get_running_loop().create_future()
    life.task.set_result(None)


async def test_a_first_record_that_is_refused_ends_the_agent_with_the_reason(grid: Grid, enliven: Enliven) -> None:
    grid.fail("POST /node/capabilities", problem(422, "capabilities_refused"))
    life = enliven()

    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(asyncio.shield(life.task), 20)

    assert caught.group_contains(Refused, match="capabilities_refused")
    life.task = asyncio.get_running_loop().create_future()
    life.task.set_result(None)


async def test_the_owners_new_terms_are_followed(grid: Grid, enliven: Enliven, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "LOOK_SECONDS", 0.2)
    enliven(price_micro=3000)
    await until(lambda: grid.offers)

    grid.lots, grid.floor_price_micro = 1, 7000

    await until(lambda: len(grid.offers) == 2)
    assert [(offer.lots, offer.price_micro) for offer in grid.offers] == [(2, 3000), (1, 7000)]
    looks = len(grid.seen("GET /api/v1/node"))
    await until(lambda: len(grid.seen("GET /api/v1/node")) >= looks + 3)
    assert len(grid.offers) == 2


async def test_fewer_lots_than_tasks_run_are_never_a_negative_number(grid: Grid, enliven: Enliven) -> None:
    attempts = [grid.hand_out_script(SLEEP) for _ in range(2)]
    enliven()
    for attempt in attempts:
        await running(grid, attempt)

    grid.lots, grid.node_state = 1, "PROBATION"
    await until(lambda: len(grid.seen("GET /api/v1/node")) == 1)
    beats = len(grid.beats)

    await until(lambda: len(grid.beats) >= beats + 2)
    assert grid.beats[-1].slots_free == 0
    assert len(grid.beats[-1].attempts) == 2
