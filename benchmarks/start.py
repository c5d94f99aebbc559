"""(d) From the submission of a job to the start of its first task on a machine that is free."""

import asyncio
import functools
import threading
import time

from benchmarks import loops, work, world
from benchmarks.crews import crew
from benchmarks.grids import Grid
from benchmarks.plan import Plan, percentile
from benchmarks.report import Row
from common.clock import database_now
from gridnode import waking
from gridnode.client import Coordinator
from opengrid import messages
from registry.models import ModelVersion
from scheduler.models import Attempt, Job
from scheduler.services import jobs

MACHINES = 2
POLL_SECONDS = 2.0
PAUSE_SECONDS = 0.2
JOB_SECONDS = 30


def measure(grid: Grid, plan: Plan) -> list[Row]:
    """Agents wait on their sockets and poll, as shipped ones do; jobs come one after another."""
    people = world.people("start")
    machines = [world.machine(people.member(), lots=4) for _ in range(MACHINES)]
    model = work.published(people.member(), database_now())
    payer = people.member()
    people.credit(payer)
    count = max(3, round(plan.windows * plan.seconds * 2))
    with crew(MACHINES, {"wait": functools.partial(_wait_for_work, grid.url, machines)}) as agents:
        working = threading.Thread(target=agents.do, args=("wait", count * (1 + PAUSE_SECONDS) + 10))
        working.start()
        took = [_submit(payer, model) for _ in range(count)]
        working.join()
    return [
        Row("(d) submit to start, p50", "s", [percentile(took, 50)]),
        Row("(d) submit to start, p95", "s", [percentile(took, 95)], target="< 1 s", meets=lambda p95, _: p95 < 1),
    ]


def _submit(payer: world.Membership, model: ModelVersion) -> float:
    """Seconds from the job's submission to its first claim, both by the clock of the database."""
    spec = messages.JobSpec(
        name="started",
        runner=messages.Runner.ONNX,
        model_version_id=model.pk,
        inputs=(work.stored(payer, 1),),
        assurance="none",
        limit_price_micro=world.PRICE_MICRO,
        max_seconds=10,
        max_parallel=1,
    )
    job = jobs.submit_job(membership=payer, spec=spec, now=database_now())
    end = time.monotonic() + JOB_SECONDS
    while Job.objects.get(pk=job.pk).closed_at is None:
        if time.monotonic() > end:
            raise TimeoutError(f"{job} was not done within {JOB_SECONDS} s")
        time.sleep(0.02)
    claimed_at = Attempt.objects.filter(task__job=job).order_by("claimed_at").values_list("claimed_at", flat=True)[0]
    time.sleep(PAUSE_SECONDS)
    return float((claimed_at - Job.objects.get(pk=job.pk).submitted_at).total_seconds())


def _wait_for_work(url: str, machines: list[world.Machine], number: int, until: float) -> int:
    return asyncio.run(_live(url, machines[number], until))


async def _live(url: str, machine: world.Machine, until: float) -> int:
    coordinator, wake, delivered = Coordinator(url, machine.key, machine.node_id), asyncio.Event(), 0
    listening = asyncio.create_task(waking.listen(coordinator, wake.set))
    try:
        while time.monotonic() < until:
            claim = messages.ClaimRequest(max_tasks=1)
            given = await coordinator.send("POST", "/node/claim", claim, messages.ClaimReply)
            if given.tasks:
                results = messages.ResultsRequest(results=tuple(loops.answer(machine, task) for task in given.tasks))
                await coordinator.send("POST", "/node/results", results, messages.ResultsReply)
                delivered += 1
                continue
            try:
                await asyncio.wait_for(wake.wait(), POLL_SECONDS)
            except TimeoutError:
                continue
            wake.clear()
    finally:
        listening.cancel()
        await coordinator.close()
    return delivered
