"""(c) How long a claim takes with few and with a million tasks queued."""

import time

from django.db import connection

from benchmarks import work, world
from benchmarks.grids import Grid
from benchmarks.plan import Plan, percentile
from benchmarks.report import Row
from common.clock import database_now
from nodes.models import Node
from registry.models import Blob
from scheduler.models import Job
from scheduler.services import claims

LEASED_JOBS = 4
TASKS_PER_JOB = 100
LOTS = 8
WARM_UP = 30
_COPY_JOBS = """
INSERT INTO scheduler_job (cooperative_id, submitter_id, name, runner, model_version_id, spec, assurance,
  executions, limit_price_micro, max_seconds, royalty_micro, policy_number, tasks_total, held_micro,
  max_parallel, state, reason, finished_at, closed_at)
SELECT cooperative_id, submitter_id, name, runner, model_version_id, spec, assurance, executions, limit_price_micro,
  max_seconds, royalty_micro, policy_number, tasks_total, 0, max_parallel, 'DONE', '', now(), now()
FROM scheduler_job, generate_series(1, %s) WHERE id = %s RETURNING id
"""
_FILL_JOBS = """
INSERT INTO scheduler_task (job_id, index, input_id, input_name, state, reason, wanted_results, tie_breaks,
  open_executions, bought_left, claims, max_claims)
SELECT job, number, %(input)s, 'input.npy', 'OPEN', '', 1, 0, 1, 1, 0, 5
FROM unnest(%(jobs)s::bigint[]) AS job, generate_series(1, %(each)s) AS number
"""
_HAND_BACK = """
WITH gone AS (DELETE FROM scheduler_attempt WHERE id = ANY(%s) RETURNING task_id)
UPDATE scheduler_task SET claims = claims - 1, open_executions = open_executions + 1, bought_left = bought_left + 1
FROM gone WHERE id = task_id
"""


def measure(_grid: Grid, plan: Plan) -> list[Row]:
    """The same nodes claim from the same few leased jobs while others fill the tables; what was claimed is handed back.

    A queue cannot be emptied between windows, so the depths follow each other; each has its windows.
    """
    people = world.people("depth")
    model = work.published(people.member(), database_now())
    machines = [world.machine(people.member(), lots=LOTS) for _ in range(LEASED_JOBS)]
    jobs = []
    for _ in machines:
        payer = people.member()
        people.credit(payer)
        jobs.append(work.job(payer, model, tasks=plan.depths[0] // LEASED_JOBS, lots=LOTS))
    nodes = [Node.objects.get(pk=machine.node_id) for machine in machines]
    queued = plan.depths[0]
    taken: dict[int, list[list[float]]] = {}
    for depth in plan.depths:
        _queue(jobs[0], depth - queued)
        queued = depth
        _claims(nodes, seconds=0.0, at_least=WARM_UP)
        taken[depth] = [_claims(nodes, seconds=plan.seconds, at_least=WARM_UP) for _ in range(plan.windows)]
    first = [percentile(window, 99) for window in taken[plan.depths[0]]]
    rows = []
    for depth in plan.depths:
        last = depth == plan.depths[-1]
        rows.append(
            Row(
                f"(c) claim with {depth:,} queued, p99",
                "ms",
                [percentile(window, 99) for window in taken[depth]],
                first if depth != plan.depths[0] else (),
                f"ms with {plan.depths[0]:,}",
                "<= 1.3 of that at 100" if last else "",
                (lambda _, share: share <= 1.3) if last else None,
                notes={"p50_ms": [percentile(window, 50) for window in taken[depth]]},
            )
        )
    return rows


def _queue(model_job: Job, tasks: int) -> None:
    """Add tasks in jobs without leases. The jobs are closed ones, so that the worker's sweeps leave them alone."""
    if tasks > 0:
        with connection.cursor() as cursor:
            jobs = min(10_000, max(1, tasks // TASKS_PER_JOB))
            cursor.execute(_COPY_JOBS, [jobs, model_job.pk])
            ids = [pk for (pk,) in cursor.fetchall()]
            input_id = Blob.objects.filter(digest=model_job.tasks.first().input.digest).values_list("pk", flat=True)[0]
            cursor.execute(_FILL_JOBS, {"input": input_id, "jobs": ids, "each": tasks // jobs})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) scheduler_task")
        cursor.execute("CHECKPOINT")


def _claims(nodes: list[Node], *, seconds: float, at_least: int) -> list[float]:
    """Milliseconds of each claim of one task, node after node."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(took) < at_least:
        node = nodes[len(took) % len(nodes)]
        began = time.perf_counter()
        given = claims.claim_work(node=node, max_tasks=1, now=database_now())
        took.append((time.perf_counter() - began) * 1000)
        with connection.cursor() as cursor:
            cursor.execute(_HAND_BACK, [[assignment.attempt_id for assignment in given]])
        if not given:
            raise RuntimeError(f"node {node.pk} was given no task")
    return took
