"""The plumbing of the tests' coordinator: HTTP/1.1 and WebSocket on one port of this machine.

`Server` takes connections, notes each request and puts the faults that tests ordered in front of an
address. What an honest answer is, a subclass says.
"""

import asyncio
import json
import re
import time
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from dataclasses import dataclass, field

from websockets.frames import Opcode
from websockets.http11 import Request as Upgrade
from websockets.protocol import State
from websockets.server import ServerProtocol

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


class Server(ABC):
    """Connections, requests, faults and sockets, open to the tests."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.requests: list[Request] = []
        self.faults: dict[str, deque[Reply]] = defaultdict(deque)
        self.sockets: list[Socket] = []
        self.socket_faults: deque[Reply] = deque()
        self.answers_pings = True
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

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

    def seen(self, route: str) -> list[Request]:
        """Requests to a route so far; `*` in it stands for anything."""
        pattern = re.compile(re.escape(route).replace(r"\*", ".*"))
        return [entry for entry in self.requests if pattern.fullmatch(f"{entry.method} {entry.path}")]

    async def wake(self) -> None:
        """Send a message over every open socket."""
        for socket in self.sockets:
            socket.send_text('{"type": "wake"}')

    @abstractmethod
    async def answer(self, route: str, request: Request) -> Reply:
        """The answer to a request, without faults; `route` is method and address below /api/v1."""

    @abstractmethod
    def refusal(self, request: Request) -> Reply | None:
        """Why a request is refused whatever it asks for, or None."""

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
                reply = await self._answer_or_fault(request)
                if reply.delay is not None:
                    await reply.delay.wait()
                if not await _write_reply(writer, reply):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer_or_fault(self, request: Request) -> Reply:
        route = f"{request.method} {request.path.removeprefix('/api/v1')}"
        for pattern, replies in self.faults.items():
            if replies and re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), route):
                return replies.popleft()
        return await self.answer(route, request)

    async def _upgrade(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        refusal = self.socket_faults.popleft() if self.socket_faults else self.refusal(request)
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

    def __init__(self, server: Server, writer: asyncio.StreamWriter) -> None:
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
