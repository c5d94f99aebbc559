"""Requests to a real server that fails in every way: signed anew, waited for, never believed, never hammered."""
# ruff: noqa: ASYNC240 - a few bytes in a test's folder

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from gridnode import client, clock
from gridnode.client import BadAddress, Coordinator, Refused, Retired, Unreachable, WrongContent
from opengrid import digests, keys
from opengrid.messages import CapabilityReply, ClaimReply, ClaimRequest, HeartbeatReply, HeartbeatRequest
from packages.gridnode.tests.coordinator import Coordinator as Grid
from packages.gridnode.tests.coordinator import until
from packages.gridnode.tests.wire import DROP, Reply, busy, problem

STATUS = "GET /node"


@pytest.fixture
async def node(grid: Grid) -> AsyncIterator[Coordinator]:
    key = keys.PrivateKey.generate()
    found = Coordinator(grid.url, key, grid.add_node(key.public_text))
    yield found
    await found.close()


async def status(node: Coordinator) -> CapabilityReply:
    return await node.send("GET", "/node", None, CapabilityReply)


# --- retries ---------------------------------------------------------------------------------------


async def test_a_request_is_tried_until_it_is_answered_and_signed_anew_each_time(grid: Grid, node: Coordinator) -> None:
    grid.fail(STATUS, busy(503), DROP, Reply(200, b'{"half":'))

    reply = await node.persist(lambda: status(node))

    tries = grid.seen("GET /api/v1/node")
    assert reply.node_state == "ACTIVE"
    assert len(tries) == 4
    assert len({entry.nonce for entry in tries}) == 4
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(tries)]
    assert gaps[0] >= 0.25
    assert gaps[1] >= 0.5
    assert gaps[2] >= 1.0


async def test_a_server_that_is_not_there_yet_is_waited_for(grid: Grid, node: Coordinator) -> None:
    await grid.stop()
    waiting = asyncio.ensure_future(node.persist(lambda: status(node)))
    with pytest.raises(Unreachable):
        await status(node)

    await grid.start()

    assert (await waiting).node_state == "ACTIVE"


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_is_honoured(grid: Grid, node: Coordinator, code: int) -> None:
    grid.fail(STATUS, busy(code, retry_after="1"))

    await node.persist(lambda: status(node))

    first, second = grid.seen("GET /api/v1/node")
    assert 1.0 <= second.at - first.at < 3.0


def test_retry_after_may_be_a_date_and_nonsense_counts_as_nothing() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    assert client._retry_after_seconds(format_datetime(now + timedelta(minutes=2), usegmt=True), now) == 120
    assert client._retry_after_seconds(format_datetime(now - timedelta(minutes=2), usegmt=True), now) == 0
    for text in ("", "soon", "-5", "1.5", "9" * 40, "Sat, 99 Nov 2026 25:00:00 GMT"):
        assert client._retry_after_seconds(text, now) is None


async def test_an_outage_is_told_once_however_many_requests_meet_it(
    grid: Grid, node: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gridnode.client")
    grid.fail(STATUS, *[busy()] * 5)

    for _ in range(5):
        with pytest.raises(Unreachable):
            await status(node)
    await status(node)

    lines = [record.getMessage() for record in caplog.records if record.name == "gridnode.client"]
    assert [line[:23] for line in lines] == ["the coordinator is away", "the coordinator is back"]


# --- answers that cannot be used -------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b""),
        Reply(200, b"<html>welcome</html>"),
        Reply(200, b"[]"),
        Reply(200, b'{"node_state": "ACTIVE", "sellable_lots": "2", "floor_price_micro": 1}'),
        Reply(200, b'{"node_state": "ACTIVE", "sellable_lots": 2, "floor_price_micro": 1, "more": 1}'),
        Reply(200, b'{"node_state": "ACTIVE", "sellable_lots": -2, "floor_price_micro": 1}'),
        Reply(200, b"\xff\xfe"),
        Reply(200, b"[" * 100_000),
        Reply(204, b""),
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"),
        Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
        Reply(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n"),
        Reply(200, b"\x1f\x8b\x08\x00nonsense", {"content-encoding": "gzip"}),
        Reply(302, b"", {"location": "https://login.example.org/\x07"}),
        Reply(404, b"<html>nginx</html>"),
        Reply(400, b'{"code": "NOT A CODE"}'),
        Reply(400, b'["code"]'),
        Reply(401, b'{"code": 7}'),
        Reply(408, b""),
    ],
    ids=lambda reply: f"{reply.status}-{(reply.raw or reply.body)[:24]!r}",
)
async def test_what_is_no_answer_of_a_coordinator_means_try_later(grid: Grid, node: Coordinator, reply: Reply) -> None:
    grid.fail(STATUS, reply)

    with pytest.raises(Unreachable) as caught:
        await status(node)

    assert str(caught.value).isprintable()
    assert (await status(node)).node_state == "ACTIVE"


async def test_an_endless_answer_is_cut_off(grid: Grid, node: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_BYTES", 100_000)
    grid.fail(STATUS, Reply(200, b" " * 200_000))

    with pytest.raises(Unreachable, match="longer than 100000 bytes"):
        await status(node)


async def test_an_answer_that_drips_in_is_given_up(
    grid: Grid, node: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MESSAGE_SECONDS", 0.3)
    grid.fail(STATUS, Reply(200, b" " * 1000, drip_seconds=0.05))

    with pytest.raises(Unreachable, match="sent no whole answer"):
        await status(node)


async def test_a_typed_refusal_is_final_and_its_words_are_harmless(grid: Grid, node: Coordinator) -> None:
    grid.fail(STATUS, problem(409, "node_not_working", detail="you are\x1b[31m drained\n\u202e!"))

    with pytest.raises(Refused) as caught:
        await node.persist(lambda: status(node))

    assert (caught.value.status, caught.value.code) == (409, "node_not_working")
    assert caught.value.detail == "you are[31m drained !"
    assert len(grid.requests) == 1


async def test_a_proxy_that_takes_no_large_bodies_is_not_asked_for_ever(grid: Grid, node: Coordinator) -> None:
    grid.fail(STATUS, Reply(413, b"<html>nginx</html>"))

    with pytest.raises(Refused, match="http_413"):
        await node.persist(lambda: status(node))


async def test_a_retired_node_is_told_so(grid: Grid, node: Coordinator) -> None:
    grid.node_state = "RETIRED"

    with pytest.raises(Retired):
        await status(node)


# --- clocks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "skew", [timedelta(days=3), timedelta(days=-1), timedelta(minutes=6), timedelta(minutes=-6)], ids=str
)
async def test_a_wrong_clock_is_corrected_by_the_servers_time(
    grid: Grid, node: Coordinator, monkeypatch: pytest.MonkeyPatch, skew: timedelta, tmp_path: Path
) -> None:
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + skew)
    blob = grid.add_blob(b"weights")

    await node.download(blob.digest, tmp_path / "weights", blob.size_bytes)
    await status(node)

    assert len(grid.refused) == 1
    assert len(grid.requests) == 3
    assert abs(node.now() - real()) < timedelta(seconds=5)


async def test_a_clock_that_jumps_while_the_node_works_is_corrected_again(
    grid: Grid, node: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, skew = clock.now, timedelta(0)
    monkeypatch.setattr(clock, "now", lambda: real() + skew)

    for skew in (timedelta(days=2), timedelta(days=-2), timedelta(0)):  # noqa: B007 the clock reads it
        await status(node)

    assert len(grid.refused) == 3
    assert [entry for entry in grid.refused if "signature_" not in entry] == []


async def test_a_servers_jump_is_followed_too(grid: Grid, node: Coordinator) -> None:
    await status(node)
    grid.ahead = timedelta(minutes=10)

    await status(node)

    assert grid.refused == ["signature_expired"]


@pytest.mark.parametrize("told", [None, "soon", "2026-11-21T12:00:00", "9999-12-31T23:59:59Z", 5])
async def test_a_time_that_cannot_be_meant_changes_nothing(grid: Grid, node: Coordinator, told: object) -> None:
    grid.fail(STATUS, problem(401, "signature_expired", server_time=told))

    with pytest.raises(Refused, match="signature_expired"):
        await status(node)

    assert abs(node.now() - clock.now()) < timedelta(seconds=1)
    assert (await status(node)).node_state == "ACTIVE"


async def test_a_nonce_that_was_seen_before_is_replaced_once(grid: Grid, node: Coordinator) -> None:
    grid.fail(STATUS, problem(401, "nonce_replayed"))

    assert (await status(node)).node_state == "ACTIVE"

    grid.fail(STATUS, problem(401, "nonce_replayed"), problem(401, "nonce_replayed"))
    with pytest.raises(Refused, match="nonce_replayed"):
        await status(node)


async def test_a_refused_clock_is_not_argued_about(grid: Grid, node: Coordinator) -> None:
    now = grid.now().isoformat()
    grid.fail(STATUS, *[problem(401, "signature_expired", server_time=now)] * 5)

    with pytest.raises(Refused):
        await status(node)

    assert len(grid.requests) == 2


# --- files -----------------------------------------------------------------------------------------


async def test_a_file_arrives_whole_and_alone(grid: Grid, node: Coordinator, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    blob = grid.add_blob(data)

    await node.download(blob.digest, tmp_path / "file", blob.size_bytes)

    assert (tmp_path / "file").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"other bytes"), WrongContent),
        (Reply(200, b"right bytez"), WrongContent),
        (Reply(200, b"right bytes and more"), WrongContent),
        (Reply(200, b"right"), WrongContent),
        (Reply(raw=b"HTTP/1.1 200 OK\r\n\r\nright"), WrongContent),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nright\r\n"), Unreachable),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nright"), Unreachable),
        (busy(), Unreachable),
        (problem(404, "not_found"), Refused),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_a_file_that_is_not_what_was_asked_for_is_not_kept(
    grid: Grid, node: Coordinator, tmp_path: Path, reply: Reply, kind: type[Exception]
) -> None:
    blob = grid.add_blob(b"right bytes")
    grid.fail("GET /node/blobs/*", reply)

    with pytest.raises(kind):
        await node.download(blob.digest, tmp_path / "file", blob.size_bytes)

    assert list(tmp_path.iterdir()) == []
    await node.download(blob.digest, tmp_path / "file", blob.size_bytes)
    assert (tmp_path / "file").read_bytes() == b"right bytes"


async def test_a_file_that_grows_without_end_stops_at_its_announced_size(
    grid: Grid, node: Coordinator, tmp_path: Path
) -> None:
    grid.fail("GET /node/blobs/*", Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5_000_000))

    with pytest.raises(WrongContent, match="more than the 100000 bytes"):
        await node.download(digests.of_bytes(b""), tmp_path / "file", 100_000)

    assert list(tmp_path.iterdir()) == []


async def test_an_upload_is_streamed_with_its_signed_digest(grid: Grid, node: Coordinator, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    (tmp_path / "label.npy").write_bytes(data)
    grid.states[1] = "RUNNING"

    blob = await node.upload("/node/attempts/1/7/outputs/label.npy", tmp_path / "label.npy")

    assert grid.uploads[1] == {"label.npy": data}
    assert blob.digest == digests.of_bytes(data)
    [request] = grid.requests
    assert request.headers["content-length"] == "200000"


async def test_an_upload_with_a_wrong_clock_is_sent_again_whole(grid: Grid, node: Coordinator, tmp_path: Path) -> None:
    grid.ahead, grid.states[1] = timedelta(days=2), "RUNNING"
    (tmp_path / "out").write_bytes(b"x" * 100_000)

    await node.upload("/node/attempts/1/7/outputs/out", tmp_path / "out")

    assert grid.refused == ["signature_expired"]
    assert grid.uploads[1]["out"] == b"x" * 100_000


async def test_an_upload_that_is_refused_before_it_is_read_says_why(
    grid: Grid, node: Coordinator, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"x" * 100_000)

    with pytest.raises(Refused, match="stale_token"):
        await node.upload("/node/attempts/1/7/outputs/out", tmp_path / "out")


# --- addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "", "grid.example.org", "ftp://grid.example.org", "https://", "https://u:p@grid.example.org",
        "https://grid.example.org/grid", "https://grid.example.org?x", "https://grid.example.org:port",
        "https://grid example.org", "https://[::1", "https://grid.example.org#a", "https://gr\u00fcn.example",
    ],
)  # fmt: skip
def test_only_plain_addresses_are_taken(url: str) -> None:
    with pytest.raises(BadAddress, match=r"address|accepted"):
        client.check_address(url)


def test_an_address_loses_its_slash() -> None:
    assert client.check_address(" https://grid.example.org:8443/ ") == "https://grid.example.org:8443"


async def test_a_slow_answer_does_not_hold_up_other_requests(grid: Grid, node: Coordinator) -> None:
    held = asyncio.Event()
    empty = ClaimReply(tasks=()).model_dump_json().encode()
    grid.fail("POST /node/claim", Reply(200, empty, delay=held))
    claim = asyncio.ensure_future(node.send("POST", "/node/claim", ClaimRequest(max_tasks=1), ClaimReply))
    await until(lambda: grid.seen("POST /api/v1/node/claim"))

    await node.send("POST", "/node/heartbeat", HeartbeatRequest(slots_free=0, load_permille=0), HeartbeatReply)

    assert not claim.done()
    held.set()
    assert (await claim).tasks == ()
