"""A living agent whose server is away, wrong, slow or on another clock: nothing is lost, nothing counts twice."""

import asyncio
from datetime import datetime, timedelta

import pytest

from gridnode import agent as agents
from gridnode import capabilities, clock
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import WRITE, Enliven, running, sandbox_jobs
from packages.gridnode.tests.wire import DROP, Reply, busy, problem

CLAIM, BEAT = "POST /node/claim", "POST /node/heartbeat"


@pytest.mark.parametrize("fault", [busy(502), DROP, Reply(200, b"{}")], ids=["5xx", "dropped", "malformed"])
async def test_a_task_is_delivered_once_though_the_server_fails_at_every_step(
    grid: Grid, enliven: Enliven, fault: Reply
) -> None:
    attempt = grid.hand_out_script(WRITE)
    routes = [
        "POST /node/capabilities",
        "PUT /node/offer",
        BEAT,
        CLAIM,
        "GET /node/blobs/*",
        "PUT /node/attempts/*",
        "POST /node/attempts/*",
    ]
    for route in routes:
        grid.fail(route, fault)

    enliven()

    await until(lambda: attempt in grid.results and not any(grid.faults.values()))
    for route in routes:
        method, _, path = route.partition(" ")
        tries = grid.seen(f"{method} /api/v1{path}")
        assert len({entry.nonce for entry in tries}) == len(tries)
    assert grid.refused == []
    assert grid.uploads[attempt] == {"x": b"x"}
    assert len(grid.statements) == 1


async def test_a_task_goes_on_while_the_server_is_gone_and_is_delivered_when_it_is_back(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved
) -> None:
    attempt = grid.hand_out_script("import time; print('PROGRESS 250', flush=True); time.sleep(2)\n" + WRITE)
    enliven()
    await running(grid, attempt)

    await grid.stop()
    await until(lambda: sandbox_jobs(proved) == [])
    await grid.start()

    await until(lambda: attempt in grid.results)
    assert grid.failures == {}


async def test_a_result_whose_answer_was_lost_is_sent_again_and_counts_once(grid: Grid, enliven: Enliven) -> None:
    attempt = grid.hand_out_script(WRITE)
    enliven()
    held = asyncio.Event()
    serve = grid._serve

    async def losing(route: str, body: bytes) -> Reply:
        reply = await serve(route, body)
        if route.endswith("/result") and not held.is_set():
            held.set()
            return DROP
        return reply

    grid._serve = losing  # type: ignore[method-assign]

    await until(lambda: len(grid.seen("POST /api/v1/node/attempts/*/result")) == 2)
    first, second = grid.seen("POST /api/v1/node/attempts/*/result")
    assert first.body == second.body
    assert first.nonce != second.nonce
    await until(lambda: not grid.beats[-1].attempts and grid.beats[-1].slots_free == 2)
    assert grid.states[attempt] == "SUBMITTED"


async def test_a_claim_that_is_refused_or_limited_is_not_hammered(grid: Grid, enliven: Enliven) -> None:
    grid.fail(CLAIM, busy(429, retry_after="2"), problem(409, "node_not_working"))
    enliven()

    await until(lambda: len(grid.seen("POST /api/v1/node/claim")) == 3)

    first, second, third = grid.seen("POST /api/v1/node/claim")
    assert second.at - first.at >= 2.0
    assert third.at - second.at >= 0.5


async def test_a_heartbeat_that_hangs_is_given_up_and_sent_anew(
    grid: Grid, enliven: Enliven, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "BEAT_ANSWER_SECONDS", 0.2)
    grid.fail(BEAT, Reply(delay=asyncio.Event()), Reply(delay=asyncio.Event()))

    enliven()

    await until(lambda: grid.beats, 10)


async def test_a_heartbeat_that_is_refused_does_not_end_the_agent(grid: Grid, enliven: Enliven) -> None:
    grid.fail(BEAT, problem(401, "unknown_key"), problem(422, "invalid_message"), problem(400, "malformed_json"))
    attempt = grid.hand_out_script(WRITE)

    enliven()

    await until(lambda: attempt in grid.results and grid.beats)


async def test_a_clock_that_is_days_off_and_jumps_costs_a_refusal_or_two_and_no_task(
    grid: Grid, enliven: Enliven, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, skew = clock.now, timedelta(hours=20)
    monkeypatch.setattr(clock, "now", lambda: real() + skew)
    first = grid.hand_out_script(WRITE)
    enliven()
    await until(lambda: first in grid.results)

    skew = timedelta(hours=-20)
    second = grid.hand_out_script(WRITE)
    await until(lambda: second in grid.results)

    for attempt in (first, second):
        finished = datetime.fromisoformat(grid.results[attempt].finished_at)
        assert abs(finished - grid.now()) < timedelta(seconds=30)
    assert set(grid.refused) == {"signature_in_future", "signature_expired"}
    assert len(grid.refused) <= 6
    assert grid.failures == {}
