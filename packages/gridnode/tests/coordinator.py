"""A small real coordinator for the agent's tests: HTTP/1.1 and WebSocket on one port of this machine.

It speaks opengrid's messages, verifies every signature and remembers every nonce, as the platform does.
Tests put faults in front of an address, hand out tasks, and look at what arrived.
"""

import asyncio
import contextlib
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from websockets.frames import Opcode
from websockets.http11 import Request as Upgrade
from websockets.protocol import State
from websockets.server import ServerProtocol

from opengrid import benchmark, digests, http_signatures, keys, messages
from opengrid.messages import BlobRef, Receipt, TaskAssignment

LIMITS = messages.TaskLimits(
    wall_seconds=60, memory_mib=256, disk_mib=8, output_bytes=4 << 20, output_files=8, stdout_bytes=1 << 20, pids=32
)
_REASONS = {200: "OK", 201: "Created", 204: "No Content"}


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def nonce(self) -> str:
        found = re.search(r'nonce="([^"]+)"', self.headers.get("signature-input", ""))
        return found.group(1) if found else ""


@dataclass
class Reply:
    """What goes back. `raw` replaces the whole answer, b"" closes without one; `delay` holds it back."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    delay: asyncio.Event | None = None
    drip_seconds: float = 0.0


DROP = Reply(raw=b"")


def problem(status: int, code: str, **extra: object) -> Reply:
    """A typed refusal."""
    return Reply(status, json.dumps({"code": code, "detail": f"because {code}", "status": status} | extra).encode())


def busy(status: int = 503, retry_after: str | None = None) -> Reply:
    """Out of order, perhaps with a Retry-After."""
    return Reply(status, b"<html>busy</html>", {} if retry_after is None else {"Retry-After": retry_after})


class Coordinator:
    """The server's state, open to the tests."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.ahead = timedelta(0)
        self.node_state = "ACTIVE"
        self.lots = 2
        self.floor_price_micro = 1000
        self.heartbeat_seconds = 1
        self.poll_seconds = 1
        self.tokens: dict[str, Reply | None] = {}
        self.nodes: dict[str, str] = {}
        self.blobs: dict[str, bytes] = {}
        self.queue: deque[TaskAssignment] = deque()
        self.states: dict[int, str] = {}
        self.uploads: dict[int, dict[str, bytes]] = defaultdict(dict)
        self.results: dict[int, Receipt] = {}
        self.failures: dict[int, messages.FailureRequest] = {}
        self.statements: list[messages.CapabilityRecord] = []
        self.offers: list[messages.OfferRequest] = []
        self.beats: list[messages.HeartbeatRequest] = []
        self.requests: list[Request] = []
        self.refused: list[str] = []
        self.faults: dict[str, deque[Reply]] = defaultdict(deque)
        self.open_claims = 0
        self.most_open_claims = 0
        self.sockets: list[Socket] = []
        self.socket_faults: deque[Reply] = deque()
        self.answers_pings = True
        self._nonces: set[str] = set()
        self._next_id = 1
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    # --- for the tests -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """The server's own time; no test changes it but through `ahead`."""
        return datetime.fromtimestamp(time.time(), UTC) + self.ahead

    async def start(self) -> None:
        """Listen; the second time on the same port as before."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Close everything, as a server that was killed."""
        assert self._server is not None
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def fail(self, route: str, *replies: Reply) -> None:
        """The next requests to `route` (such as "POST /node/claim") get these instead of an answer."""
        self.faults[route].extend(replies)

    def add_blob(self, data: bytes, name: str = "file") -> BlobRef:
        """A file that may be fetched."""
        digest = digests.of_bytes(data)
        self.blobs[digest] = data
        return BlobRef(name=name, digest=digest, size_bytes=len(data))

    def hand_out(self, **parts: object) -> int:
        """Queue a task; returns its attempt's id."""
        attempt_id = self._next_id
        self._next_id += 1
        known: dict[str, object] = {
            "attempt_id": attempt_id,
            "token": attempt_id * 10 + 1,
            "task_id": attempt_id,
            "job_id": 1,
            "runner": messages.Runner.PYTHON,
            "inputs": (),
            "limits": LIMITS,
            "deadline_at": messages.timestamp(self.now() + timedelta(seconds=90)),
        }
        self.queue.append(TaskAssignment(**known | parts))  # type: ignore[arg-type]
        return attempt_id

    def hand_out_script(self, script: str, **parts: object) -> int:
        """Queue a task of the python runner."""
        return self.hand_out(bundle=self.add_blob(script.encode(), "main.py"), **parts)

    def seen(self, route: str) -> list[Request]:
        """Requests to a route so far; `*` in it stands for anything."""
        pattern = re.compile(re.escape(route).replace(r"\*", ".*"))
        return [entry for entry in self.requests if pattern.fullmatch(f"{entry.method} {entry.path}")]

    async def wake(self) -> None:
        """Send a message over every open socket."""
        for socket in self.sockets:
            socket.send_text('{"type": "wake"}')

    # --- HTTP --------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                if request.path == "/ws/node":
                    await self._upgrade(request, reader, writer)
                    return
                self.requests.append(request)
                reply = await self._answer(request)
                if reply.delay is not None:
                    await reply.delay.wait()
                if not await _write_reply(writer, reply):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, request: Request) -> Reply:
        route = f"{request.method} {request.path.removeprefix('/api/v1')}"
        for pattern, replies in self.faults.items():
            if replies and re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), route):
                return replies.popleft()
        if route == "POST /nodes/join":
            return self._join(messages.JoinRequest.model_validate_json(request.body))
        refusal = self._refusal(request)
        if refusal is not None:
            self.refused.append(json.loads(refusal.body)["code"])
            return refusal
        return await self._serve(route, request.body)

    def _refusal(self, request: Request) -> Reply | None:
        now = self.now()
        try:
            verified = http_signatures.verify_request(
                method=request.method,
                url=self.url + request.path,
                headers=request.headers,
                body=request.body,
                public_key=self.nodes.get,
                now=now,
            )
        except http_signatures.RequestRefused as error:
            return problem(401, error.code, server_time=messages.timestamp(now))
        if verified.nonce in self._nonces:
            return problem(401, "nonce_replayed")
        self._nonces.add(verified.nonce)
        return problem(403, "node_retired") if self.node_state == "RETIRED" else None

    async def _serve(self, route: str, body: bytes) -> Reply:
        if route == "GET /node":
            return _reply(self._status())
        if route in ("POST /node/drain", "POST /node/resume", "POST /node/retire"):
            self.node_state = {"drain": "DRAINING", "resume": "ACTIVE", "retire": "RETIRED"}[route.split("/")[-1]]
            return _reply(self._status())
        if route == "POST /node/capabilities":
            return self._take_statement(messages.SignedCapabilities.model_validate_json(body))
        if route == "PUT /node/offer":
            self.offers.append(messages.OfferRequest.model_validate_json(body))
            return _reply(messages.OfferReply(order_id=1, **self.offers[-1].model_dump()))
        if route == "POST /node/heartbeat":
            return self._take_beat(messages.HeartbeatRequest.model_validate_json(body))
        if route == "POST /node/claim":
            return await self._claim(messages.ClaimRequest.model_validate_json(body))
        if found := re.fullmatch(r"GET /node/blobs/(.+)", route):
            data = self.blobs.get(found[1])
            return problem(404, "not_found") if data is None else Reply(200, data)
        if found := re.fullmatch(r"PUT /node/attempts/(\d+)/(\d+)/outputs/(.+)", route):
            return self._take_output(int(found[1]), found[3], body)
        if found := re.fullmatch(r"POST /node/attempts/(\d+)/(result|failure)", route):
            return self._take_report(int(found[1]), found[2], body)
        return problem(404, "not_found")

    def _join(self, request: messages.JoinRequest) -> Reply:
        keys.verify_join_proof(request.public_key, request.token, request.proof)
        if request.token not in self.tokens:
            return problem(403, "join_token_refused")
        refusal = self.tokens[request.token]
        if refusal is not None:
            return refusal
        self.tokens[request.token] = problem(409, "join_token_used")
        node_id = self.add_node(request.public_key)
        return _reply(
            messages.JoinReply(
                node_id=node_id,
                cooperative="Riverside",
                heartbeat_seconds=self.heartbeat_seconds,
                poll_seconds=self.poll_seconds,
                server_time=messages.timestamp(self.now()),
            ),
            201,
        )

    def add_node(self, public_key: str) -> int:
        """Register a key; returns the node's id."""
        node_id = len(self.nodes) + 1
        self.nodes[str(node_id)] = public_key
        return node_id

    def _status(self) -> messages.CapabilityReply:
        return messages.CapabilityReply(
            node_state=self.node_state, sellable_lots=self.lots, floor_price_micro=self.floor_price_micro
        )

    def _take_statement(self, signed: messages.SignedCapabilities) -> Reply:
        key = self.nodes[str(signed.record.node_id)]
        keys.verify_document(key, keys.CAPABILITIES, signed.record.document(), signed.signature)
        claimed = signed.record.benchmark
        assert claimed.checksum == benchmark.checksum_of(claimed.seed)
        self.statements.append(signed.record)
        return _reply(self._status())

    def _take_beat(self, beat: messages.HeartbeatRequest) -> Reply:
        self.beats.append(beat)
        stale = [entry.attempt_id for entry in beat.attempts if self.states.get(entry.attempt_id) != "RUNNING"]
        return _reply(
            messages.HeartbeatReply(
                server_time=messages.timestamp(self.now()),
                node_state=self.node_state,
                stale_attempt_ids=tuple(stale),
                work_waiting=bool(self.queue),
            )
        )

    async def _claim(self, request: messages.ClaimRequest) -> Reply:
        self.open_claims += 1
        self.most_open_claims = max(self.most_open_claims, self.open_claims)
        await asyncio.sleep(0)  # lets a second claim in, if there were one
        self.open_claims -= 1
        if self.node_state not in ("PROBATION", "ACTIVE"):
            return problem(409, "node_not_working")
        tasks = [self.queue.popleft() for _ in range(min(request.max_tasks, len(self.queue)))]
        return self.claimed(*tasks)

    def claimed(self, *tasks: TaskAssignment) -> Reply:
        """The answer that hands these out."""
        self.states |= {task.attempt_id: "RUNNING" for task in tasks}
        return _reply(messages.ClaimReply(tasks=tasks, reason="" if tasks else "no_task_waiting"))

    def _take_output(self, attempt_id: int, name: str, body: bytes) -> Reply:
        if self.states.get(attempt_id) != "RUNNING":
            return problem(409, "stale_token")
        self.uploads[attempt_id][name] = body
        return _reply(BlobRef(name=name, digest=digests.of_bytes(body), size_bytes=len(body)), 201)

    def _take_report(self, attempt_id: int, kind: str, body: bytes) -> Reply:
        if kind == "failure":
            failure = messages.FailureRequest.model_validate_json(body)
            if "\x00" in failure.detail:
                return problem(400, "malformed_json")
            if self.states.get(attempt_id) != "RUNNING":
                return problem(409, "stale_token")
            self.states[attempt_id] = "FAILED"
            self.failures[attempt_id] = failure
            return _reply(messages.ResultReply(attempt_id=attempt_id, state="FAILED"))
        request = messages.ResultRequest.model_validate_json(body)
        receipt = request.receipt
        keys.verify_document(self.nodes[str(receipt.node_id)], keys.RECEIPT, receipt.document(), request.signature)
        if self.results.get(attempt_id) == receipt:
            return _reply(messages.ResultReply(attempt_id=attempt_id, state="SUBMITTED"))
        if self.states.get(attempt_id) != "RUNNING":
            return problem(409, "stale_token")
        uploaded = {name: digests.of_bytes(data) for name, data in self.uploads[attempt_id].items()}
        assert uploaded == {output.name: output.digest for output in receipt.outputs}
        self.states[attempt_id] = "SUBMITTED"
        self.results[attempt_id] = receipt
        return _reply(messages.ResultReply(attempt_id=attempt_id, state="SUBMITTED"))

    # --- WebSocket ---------------------------------------------------------------------------------

    async def _upgrade(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        refusal = self.socket_faults.popleft() if self.socket_faults else self._refusal(request)
        if refusal is not None:
            await _write_reply(writer, Reply(403, refusal.body, refusal.headers, refusal.raw))
            return
        socket = Socket(self, writer)
        lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        socket.feed(f"GET {request.path} HTTP/1.1\r\n{lines}\r\n".encode())
        self.sockets.append(socket)
        try:
            while data := await reader.read(65536):
                socket.feed(data)
        finally:
            self.sockets.remove(socket)


class Socket:
    """One open WebSocket, by websockets' protocol without input and output of its own."""

    def __init__(self, server: Coordinator, writer: asyncio.StreamWriter) -> None:
        self.server, self.writer = server, writer
        self.protocol = ServerProtocol()
        self.pings = 0

    def feed(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Upgrade):
                self.protocol.send_response(self.protocol.accept(event))
            elif event.opcode is Opcode.PING:
                self.pings += 1
        outgoing = self.protocol.data_to_send()
        is_mute = not self.server.answers_pings and self.protocol.state is State.OPEN and self.pings
        if not is_mute:
            self.writer.writelines(outgoing)
        if self.protocol.close_expected():
            self.writer.close()

    def send_text(self, text: str) -> None:
        self.protocol.send_text(text.encode())
        self.writer.writelines(self.protocol.data_to_send())

    def drop(self) -> None:
        """Break the connection without a word."""
        self.writer.transport.abort()


def _reply(message: messages.Message, status: int = 200) -> Reply:
    return Reply(status, message.model_dump_json().encode())


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    assert "transfer-encoding" not in headers, "the platform takes bodies with a Content-Length only"
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(time.monotonic(), method, path, headers, body)


async def _write_reply(writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Whether the connection may be used again."""
    if reply.raw is not None:
        writer.write(reply.raw)
        await writer.drain()
        return False
    headers = {"content-length": str(len(reply.body)), "content-type": "application/json"} | reply.headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'No')}\r\n{lines}\r\n".encode()
    if reply.drip_seconds:
        writer.write(head)
        for byte in reply.body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(reply.drip_seconds)
    else:
        writer.write(head + reply.body)
    await writer.drain()
    return True


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Coordinator]:
    """A coordinator that runs for the length of the block."""
    server = Coordinator()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def until(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> None:
    """Return as soon as the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or condition}"
        await asyncio.sleep(0.01)
