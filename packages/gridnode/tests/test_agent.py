"""A living agent with the real sandbox and a real server that is away, wrong, slow or strict."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from gridnode import agent as agents
from gridnode import capabilities, clock, standing
from gridnode.agent import Agent
from gridnode.client import Refused, Retired
from gridnode.execution import Executor, OnProgress, Result
from gridnode.home import Home, OpenAttempt
from gridnode.sandbox import watch
from gridnode.sandbox.spec import JobHandle
from opengrid import benchmark, messages, npy
from opengrid.messages import ExitReason, Runner, TaskAssignment
from packages.gridnode.tests import published
from packages.gridnode.tests.conftest import Life
from packages.gridnode.tests.coordinator import DROP, Reply, busy, problem, until
from packages.gridnode.tests.coordinator import Coordinator as Grid

WRITE = "open('/out/x', 'w').write('x')"
SLEEP = "import time\nprint('PROGRESS 250', flush=True)\ntime.sleep(120)"
MEASURE = capabilities.measure
CLAIM, BEAT = "POST /node/claim", "POST /node/heartbeat"
Enliven = Callable[..., Life]


def sandbox_jobs(proved: capabilities.Proved) -> list[str]:
    return [path.name for path in (proved.sandbox.work_root / "jobs").iterdir()]


def beat_of(grid: Grid, attempt_id: int) -> tuple[int, str]:
    """Progress and log tail of an attempt as the last heartbeat told them."""
    for entry in grid.beats[-1].attempts if grid.beats else ():
        if entry.attempt_id == attempt_id:
            return entry.progress_permille, entry.log_tail
    return 0, ""


async def running(grid: Grid, attempt_id: int) -> None:
    await until(lambda: beat_of(grid, attempt_id)[0] == 250, what=f"attempt {attempt_id} is running")


# --- the life of a task ----------------------------------------------------------------------------


async def test_tasks_are_claimed_run_and_delivered_with_signed_receipts(grid: Grid, enliven: Enliven) -> None:
    model = published.model_ref(grid)
    first = grid.hand_out(runner=Runner.ONNX, model=model, inputs=(grid.add_blob(published.rows(), "rows.npy"),))
    second = grid.hand_out_script(WRITE)

    life = enliven()

    await until(lambda: len(grid.results) == 2)
    assert (npy.load(grid.uploads[first]["y.npy"]) == published.expected()).all()
    assert grid.uploads[second] == {"x": b"x"}
    assert grid.results[first].runtime_digest == grid.statements[0].runtime_digest
    assert grid.statements[0].sandbox.passed
    assert [(offer.lots, offer.price_micro) for offer in grid.offers] == [(2, grid.floor_price_micro)]
    await until(lambda: grid.beats[-1].slots_free == 2 and not grid.beats[-1].attempts)
    assert life.agent.home.open_attempts() == []


async def test_progress_and_log_tail_are_told_and_can_be_shown_anywhere(grid: Grid, enliven: Enliven) -> None:
    script = r"""
import sys, time
sys.stdout.buffer.write(b"\x1b[31mhello\x00\n" + "caf\u00e9 \u202etxt\n".encode() + b"PROGRESS 250\n")
sys.stdout.flush(); time.sleep(120)
"""
    attempt = grid.hand_out_script(script)

    enliven()

    await running(grid, attempt)
    assert beat_of(grid, attempt)[1] == "[31mhello\ncafé txt\nPROGRESS 250\n"


async def test_an_attempt_that_is_no_longer_ours_is_stopped_and_its_slot_used_again(
    grid: Grid, enliven: Enliven, proved: capabilities.Proved
) -> None:
    grid.lots = 1
    stale, next_one = grid.hand_out_script(SLEEP), grid.hand_out_script(WRITE)
    enliven()
    await running(grid, stale)
    assert next_one not in grid.states

    grid.states[stale] = "LOST"

    await until(lambda: next_one in grid.results)
    assert sandbox_jobs(proved) == []
    assert grid.failures == {}


async def test_never_more_than_one_claim_is_out_and_never_more_is_asked_than_is_free(
    grid: Grid, enliven: Enliven
) -> None:
    grid.lots = 3
    for _ in range(10):
        grid.hand_out_script(WRITE)
    enliven()
    await until(lambda: grid.sockets)
    for _ in range(20):
        await grid.wake()

    await until(lambda: len(grid.results) == 10, 40)

    assert grid.most_open_claims == 1
    asked = [int(entry.body.split(b":")[1].strip(b" }")) for entry in grid.seen("POST /api/v1/node/claim")]
    assert set(asked) <= {1, 2, 3}
    assert all(0 <= beat.slots_free <= 3 for beat in grid.beats)


async def test_polling_works_while_the_socket_is_refused(grid: Grid, enliven: Enliven) -> None:
    grid.socket_faults.extend([problem(403, "forbidden")] * 100)
    enliven()
    await until(lambda: grid.seen("POST /api/v1/node/claim"))

    attempt = grid.hand_out_script(WRITE)

    await until(lambda: attempt in grid.results)
    assert grid.sockets == []


async def test_the_socket_wakes_a_node_that_polls_rarely(grid: Grid, joined: Home, enliven: Enliven) -> None:
    slow = dataclasses.replace(joined.identity(), poll_seconds=600, heartbeat_seconds=600)
    joined.save_identity(slow)
    enliven()
    await until(lambda: grid.sockets and grid.seen("POST /api/v1/node/claim"))

    attempt = grid.hand_out_script(WRITE)
    await grid.wake()

    await until(lambda: attempt in grid.results)


# --- the server is away ----------------------------------------------------------------------------


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


# --- what is not taken in --------------------------------------------------------------------------


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


# --- the node's state ------------------------------------------------------------------------------


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


# --- capabilities ----------------------------------------------------------------------------------


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


# --- the end ---------------------------------------------------------------------------------------


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
