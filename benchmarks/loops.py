"""(b) Claim and submit over HTTP until the settled transfer is committed, against a bare FOR UPDATE SKIP LOCKED."""

import asyncio
import base64
import functools
import os
import time
from dataclasses import dataclass

from django.db import connection

from benchmarks import anchors, work, world
from benchmarks.crews import Crew, crew
from benchmarks.grids import PARTS, Grid
from benchmarks.plan import Plan, interleave
from benchmarks.report import Row
from common.clock import database_now
from gridnode.client import Coordinator
from opengrid import digests, keys, messages

TOGETHER = 10
LOTS = 16
TASKS = 20_000
SETTLE_SECONDS = 120
RUNTIME = digests.of_bytes(b"runtime")
HORDE_LOOPS = 19.9
_TABLES = (
    "DROP TABLE IF EXISTS bench_queue",
    "CREATE TABLE bench_queue (id bigserial PRIMARY KEY, class int, priority int, status int DEFAULT 0,"
    " lease_until timestamptz)",
    "INSERT INTO bench_queue (class, priority) SELECT n % 8, n % 10 FROM generate_series(1, 400000) AS n",
    "CREATE INDEX ON bench_queue (class, priority DESC, id) WHERE status = 0",
    "ANALYZE bench_queue",
)
_LEASE = """
UPDATE bench_queue SET status = 1, lease_until = now() + interval '60 seconds' WHERE id = ANY(ARRAY(
  SELECT id FROM bench_queue WHERE class = %s AND status = 0 ORDER BY priority DESC, id FOR UPDATE SKIP LOCKED LIMIT 1))
RETURNING id
"""
_STANDING = """
SELECT count(*) FILTER (WHERE state = 'ACCEPTED'), count(*) FILTER (WHERE state = 'SUBMITTED')
  FROM scheduler_attempt WHERE id > %s
"""


@dataclass(frozen=True)
class Team:
    """The machines that one variant is measured with."""

    machines: list[world.Machine]


def measure(grid: Grid, plan: Plan) -> list[Row]:
    """A window ends when everything that was delivered in it is paid; the wait counts."""
    anchors.execute(*_TABLES)
    many, one = _many(plan.agents), _one(plan.agents)
    acts = {"raw": _raw, "work": functools.partial(_work, grid.url, [many.machines, one.machines])}
    used: dict[str, list[dict[str, float]]] = {"1": [], str(TOGETHER): []}
    with crew(plan.agents, acts) as agents:
        _warm_up(agents, plan)
        found = interleave(
            {
                "raw": lambda: sum(agents.do("raw", plan.seconds)) / plan.seconds,
                "singly": lambda: _window(grid, agents, plan, team=0, together=1, used=used["1"]),
                "tens": lambda: _window(grid, agents, plan, team=0, together=TOGETHER, used=used[str(TOGETHER)]),
                "one owner": lambda: _window(grid, agents, plan, team=1, together=1, used=[]),
                "one owner, tens": lambda: _window(grid, agents, plan, team=1, together=TOGETHER, used=[]),
            },
            plan.windows,
        )
    bare = "bare leases/s"
    return [
        Row(
            "(b) claim + submit, settled", "loops/s", found["singly"], found["raw"], bare,
            ">= 100 (AI Horde: 19.9)", lambda rate, _: rate >= 100, notes={"cpu_ms_per_task": used["1"]},
        ),
        Row(
            "(b) ten tasks per request", "tasks/s", found["tens"], found["raw"], bare,
            ">= 1,000", lambda rate, _: rate >= 1000, notes={"cpu_ms_per_task": used[str(TOGETHER)]},
        ),
        Row(
            "(b) one member pays, one owns all nodes", "loops/s", found["one owner"], found["singly"], "many members'",
            ">= 0.80 of many", lambda _, share: share >= 0.80,
        ),
        Row(
            "(b) the same in tens", "tasks/s", found["one owner, tens"], found["tens"], "many members'",
            ">= 0.80 of many", lambda _, share: share >= 0.80,
        ),
    ]  # fmt: skip


def _many(agents: int) -> Team:
    """Each agent has an owner of its own and works for a payer of its own."""
    people = world.people("many")
    model = work.published(people.member(), database_now())
    machines = [world.machine(people.member(), lots=LOTS) for _ in range(agents)]
    for _ in machines:
        payer = people.member()
        people.credit(payer)
        work.job(payer, model, tasks=TASKS, lots=LOTS)
    return Team(machines)


def _one(agents: int) -> Team:
    """One member owns all nodes, and the model; another pays for everything in one job."""
    people = world.people("one")
    owner, payer = people.member(), people.member()
    people.credit(payer)
    model = work.published(owner, database_now())
    machines = [world.machine(owner, lots=LOTS) for _ in range(agents)]
    work.job(payer, model, tasks=2 * TASKS, lots=LOTS * agents)
    return Team(machines)


def _warm_up(agents: Crew, plan: Plan) -> None:
    """Connections, caches and plans are there before the first window."""
    for team in (0, 1):
        agents.do("work", min(plan.seconds, 1.0), team=team, together=1)
    _settled_since(0)


def _window(grid: Grid, agents: Crew, plan: Plan, *, team: int, together: int, used: list[dict[str, float]]) -> float:
    newest, before, began = _newest(), grid.cpu_seconds(), time.monotonic()
    answers = agents.do("work", plan.seconds, team=team, together=together)
    settled = _settled_since(newest)
    rate = settled / (time.monotonic() - began)
    after = grid.cpu_seconds()
    cost = {part: round(1000 * (after[part] - before[part]) / max(1, settled), 3) for part in PARTS}
    cost["agents"] = round(1000 * sum(seconds for _, seconds in answers) / max(1, settled), 3)
    used.append(cost)
    return rate


def _newest() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM scheduler_attempt")
        return int(cursor.fetchone()[0])


def _settled_since(newest: int) -> int:
    """Attempts accepted and paid, once none waits any more. Raises: TimeoutError."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_STANDING, [newest])
            accepted, waiting = cursor.fetchone()
        if not waiting:
            return int(accepted)
        if time.monotonic() > end:
            raise TimeoutError(f"{waiting} results were not settled within {SETTLE_SECONDS} s")
        time.sleep(0.02)


def _raw(number: int, until: float) -> int:
    made, opened = 0, anchors.connection(number)
    while time.monotonic() < until:
        opened.execute(_LEASE, (number % 8,))
        made += 1
    return made


def _work(url: str, teams: list[list[world.Machine]], number: int, until: float, team: int, together: int):  # type: ignore[no-untyped-def]
    """Claim, answer, deliver; the number of tasks and the processor seconds that this client used."""
    machine = teams[team][number]
    began = time.process_time()
    delivered = asyncio.run(_claim_and_deliver(url, machine, until, together))
    return delivered, time.process_time() - began


def deliver_until(url: str, machine: world.Machine, until: float) -> int:
    """Work for others' figures: claim and deliver in tens until then, or until nothing is left."""
    return asyncio.run(_claim_and_deliver(url, machine, until, TOGETHER, may_run_out=True))


async def _claim_and_deliver(
    url: str, machine: world.Machine, until: float, together: int, *, may_run_out: bool = False
) -> int:
    coordinator, delivered = Coordinator(url, machine.key, machine.node_id), 0
    try:
        while time.monotonic() < until:
            claim = messages.ClaimRequest(max_tasks=together)
            given = await coordinator.send("POST", "/node/claim", claim, messages.ClaimReply)
            if not given.tasks and may_run_out:
                break
            if not given.tasks:
                raise RuntimeError(f"node {machine.node_id} was given no task: {given.reason}")
            results = messages.ResultsRequest(results=tuple(answer(machine, task) for task in given.tasks))
            reply = await coordinator.send("POST", "/node/results", results, messages.ResultsReply)
            refused = [outcome for outcome in reply.outcomes if outcome.code]
            if refused:
                raise RuntimeError(f"{refused[0]}")
            delivered += len(reply.outcomes)
    finally:
        await coordinator.close()
    return delivered


def answer(machine: world.Machine, task: messages.TaskAssignment) -> messages.SignedResult:
    """An answer of a hundred bytes, different each time."""
    data = os.urandom(100)
    output = messages.BlobRef(name="y.npy", digest=digests.of_bytes(data), size_bytes=len(data))
    receipt = messages.Receipt(
        attempt_id=task.attempt_id,
        token=task.token,
        task_id=task.task_id,
        node_id=machine.node_id,
        input_digests=tuple(entry.digest for entry in task.inputs),
        outputs=(output,),
        exit_reason=messages.ExitReason.OK,
        usage=messages.Usage(wall_ms=10, cpu_ms=10, peak_memory_mib=64),
        runtime_digest=RUNTIME,
        finished_at="2026-11-21T12:00:00.000000Z",
    )
    return messages.SignedResult(
        receipt=receipt,
        signature=keys.sign_document(machine.key, keys.RECEIPT, receipt.document()),
        files=(messages.SmallFile(name="y.npy", content=base64.b64encode(data).decode()),),
    )
