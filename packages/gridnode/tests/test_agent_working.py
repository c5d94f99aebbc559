"""A living agent at work, with the real sandbox: claims, runs, delivers, and is woken or polls."""

import dataclasses

from gridnode import capabilities
from gridnode.home import Home
from opengrid import npy
from opengrid.messages import Runner
from packages.gridnode.tests import published
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.living import SLEEP, WRITE, Enliven, beat_of, running, sandbox_jobs
from packages.gridnode.tests.wire import problem


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
