"""The wake-up socket against a real server that closes, refuses, hangs and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from gridnode import waking
from gridnode.client import Coordinator
from opengrid import keys
from opengrid.messages import CapabilityReply
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.wire import DROP, Reply, problem


@pytest.fixture
async def node(grid: Grid) -> AsyncIterator[Coordinator]:
    key = keys.PrivateKey.generate()
    found = Coordinator(grid.url, key, grid.add_node(key.public_text))
    yield found
    await found.close()


@pytest.fixture
async def listen(node: Coordinator) -> AsyncIterator[Callable[..., list[int]]]:
    """Starts listening; the list that it gives grows with every wake-up."""
    listening: list[asyncio.Task[None]] = []

    def start(**options: float) -> list[int]:
        wakes: list[int] = []
        listening.append(asyncio.create_task(waking.listen(node, lambda: wakes.append(1), **options)))
        return wakes

    yield start
    for task in listening:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def tries(grid: Grid) -> list[float]:
    return [entry.at for entry in grid.requests if entry.path == "/ws/node"]


async def test_the_agent_is_woken_once_when_the_socket_opens_and_at_each_message(
    grid: Grid, listen: Callable[..., list[int]]
) -> None:
    wakes = listen()
    await until(lambda: len(wakes) == 1)

    await grid.wake()
    await until(lambda: len(wakes) == 2)
    await grid.wake()

    await until(lambda: len(wakes) == 3)
    assert len(tries(grid)) == 1


async def test_a_socket_that_breaks_is_opened_again_with_a_new_signature(
    grid: Grid, listen: Callable[..., list[int]]
) -> None:
    wakes = listen()
    await until(lambda: len(wakes) == 1)

    grid.sockets[0].drop()

    await until(lambda: len(wakes) == 2)
    assert len({entry.nonce for entry in grid.requests}) == 2


async def test_a_socket_whose_server_fell_silent_is_found_dead_and_replaced(
    grid: Grid, listen: Callable[..., list[int]]
) -> None:
    grid.answers_pings = False
    wakes = listen(ping_seconds=0.2)
    await until(lambda: grid.sockets and grid.sockets[0].pings)

    await until(lambda: len(wakes) == 2)

    assert len(tries(grid)) == 2


async def test_a_socket_whose_server_answers_pings_stays(grid: Grid, listen: Callable[..., list[int]]) -> None:
    wakes = listen(ping_seconds=0.1)

    await until(lambda: grid.sockets and grid.sockets[0].pings >= 5)

    assert len(wakes) == 1


async def test_a_server_that_accepts_and_closes_is_not_hammered(grid: Grid, listen: Callable[..., list[int]]) -> None:
    listen()
    for number in (1, 2, 3):
        await until(lambda wanted=number: len(tries(grid)) == wanted and grid.sockets)
        grid.sockets[-1].drop()
        await until(lambda: not grid.sockets)

    gaps = [later - earlier for earlier, later in zip(tries(grid), tries(grid)[1:], strict=False)]
    assert gaps[0] >= 0.5
    assert gaps[1] >= 1.0


@pytest.mark.parametrize(
    "fault",
    [
        problem(403, "forbidden"),
        DROP,
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"),
        Reply(raw=b"SSH-2.0\r\n"),
        Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
    ],
    ids=["refused", "dropped", "no upgrade", "no HTTP", "wrong accept"],
)
async def test_a_handshake_that_fails_is_tried_again(
    grid: Grid, listen: Callable[..., list[int]], fault: Reply
) -> None:
    grid.socket_faults.append(fault)

    wakes = listen()

    await until(lambda: len(wakes) == 1)
    first, second = tries(grid)
    assert second - first >= 0.5


async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(grid: Grid, listen: Callable[..., list[int]]) -> None:
    head = b"HTTP/1.1 503 Busy\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"
    grid.socket_faults.append(Reply(raw=head))

    wakes = listen()

    await until(lambda: len(wakes) == 1)
    first, second = tries(grid)
    assert second - first >= 2.0


async def test_the_clock_that_a_request_corrected_signs_the_socket_too(
    grid: Grid, node: Coordinator, listen: Callable[..., list[int]]
) -> None:
    grid.ahead = timedelta(days=2)
    await node.send("GET", "/node", None, CapabilityReply)

    wakes = listen()

    await until(lambda: len(wakes) == 1)
    assert grid.refused == ["signature_expired"]
