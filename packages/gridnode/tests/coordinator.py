"""A small real coordinator for the agent's tests, reached over HTTP and WebSocket (see `wire`).

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
from datetime import UTC, datetime, timedelta

from opengrid import benchmark, digests, http_signatures, keys, messages
from opengrid.messages import BlobRef, Receipt, TaskAssignment
from packages.gridnode.tests.wire import Reply, Request, Server, problem

LIMITS = messages.TaskLimits(
    wall_seconds=60, memory_mib=256, disk_mib=8, output_bytes=4 << 20, output_files=8, stdout_bytes=1 << 20, pids=32
)


class Coordinator(Server):
    """The server's state, open to the tests."""

    def __init__(self) -> None:
        super().__init__()
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
        self.refused: list[str] = []
        self.open_claims = 0
        self.most_open_claims = 0
        self._nonces: set[str] = set()
        self._next_id = 1

    # --- for the tests -----------------------------------------------------------------------------

    def now(self) -> datetime:
        """The server's own time; no test changes it but through `ahead`."""
        return datetime.fromtimestamp(time.time(), UTC) + self.ahead

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

    # --- what it answers ---------------------------------------------------------------------------

    async def answer(self, route: str, request: Request) -> Reply:
        """As the platform answers: only joining needs no signature."""
        if route == "POST /nodes/join":
            return self._join(messages.JoinRequest.model_validate_json(request.body))
        refusal = self.refusal(request)
        if refusal is not None:
            self.refused.append(json.loads(refusal.body)["code"])
            return refusal
        return await self._serve(route, request.body)

    def refusal(self, request: Request) -> Reply | None:
        """For a signature that does not hold, a nonce that came before, or a node that was retired."""
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


def _reply(message: messages.Message, status: int = 200) -> Reply:
    return Reply(status, message.model_dump_json().encode())


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
