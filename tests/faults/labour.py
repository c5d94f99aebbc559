"""Work: every task ended once, nothing is left running, no slot was used twice, what was lost stayed lost."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from tests.faults import arithmetic
from tests.faults.database import Row, Snapshot
from tests.faults.findings import Finding, differences, most_at_once

RESULTS = ("SUBMITTED", "ACCEPTED", "REJECTED")
_JOBS = """
SELECT job.*, (SELECT count(*) FROM scheduler_task AS task WHERE task.job_id = job.id) AS tasks_found
  FROM scheduler_job AS job ORDER BY job.id
"""
_TASKS = (
    "SELECT task.*, job.state AS job_state FROM scheduler_task AS task JOIN scheduler_job AS job ON job.id = job_id"
)
_ATTEMPTS = """
SELECT attempt.*, task.state AS task_state, job.max_seconds, delivery.success AS delivered
  FROM scheduler_attempt AS attempt
  JOIN scheduler_task AS task ON task.id = attempt.task_id
  JOIN scheduler_job AS job ON job.id = task.job_id
  LEFT JOIN reputation_evidence AS delivery
    ON delivery.reference = 'attempt:' || attempt.id AND delivery.dimension = 'delivery'
 ORDER BY attempt.id
"""
_LEASES = """
SELECT lease.*, node.sellable_lots, job.closed_at AS job_closed_at
  FROM marketplace_lease AS lease
  JOIN nodes_node AS node ON node.id = lease.node_id
  JOIN scheduler_job AS job ON lease.reference = 'job:' || job.id
 ORDER BY lease.id
"""
_ORDERS = """
SELECT placed.id, placed.state FROM marketplace_order AS placed
  JOIN scheduler_job AS job ON placed.reference = 'job:' || job.id
 WHERE job.closed_at IS NOT NULL AND placed.state IN ('ACCEPTED', 'OPEN', 'PARTIALLY_FILLED')
"""


def check(snapshot: Snapshot, cancelled: set[int]) -> Iterator[Finding]:
    """Audit jobs, tasks, attempts and leases. All jobs but the `cancelled` ones must be done."""
    for job in snapshot.rows(_JOBS):
        expected = "CANCELLED" if job["id"] in cancelled else "DONE"
        yield from differences("every_task_accepted", f"job {job['id']}", job["state"], expected)
        if job["closed_at"] is None:
            yield Finding("nothing_left_running", f"job {job['id']} was not closed")
        if job["expanded_at"] is not None:
            yield from differences(
                "every_task_accepted", f"tasks of job {job['id']}", job["tasks_found"], job["tasks_total"]
            )
    attempts = snapshot.rows(_ATTEMPTS)
    yield from _tasks(snapshot, attempts)
    for attempt in attempts:
        yield from _attempt(attempt)
    yield from _leases(snapshot, attempts)
    for order in snapshot.rows(_ORDERS):
        yield Finding("nothing_left_running", f"order {order['id']} of a closed job is {order['state']}")


def _tasks(snapshot: Snapshot, attempts: list[Row]) -> Iterator[Finding]:
    claims = Counter(attempt["task_id"] for attempt in attempts)
    results = Counter(attempt["task_id"] for attempt in attempts if attempt["state"] in RESULTS)
    agreed: defaultdict[int, list[Row]] = defaultdict(list)
    for attempt in attempts:
        if attempt["state"] == "ACCEPTED":
            agreed[attempt["task_id"]].append(attempt)
    for task in snapshot.rows(_TASKS):
        where = f"task {task['id']}"
        expected = "CANCELLED" if task["job_state"] == "CANCELLED" else "ACCEPTED"
        yield from differences("every_task_accepted", where, task["state"], expected)
        yield from differences("attempt_counted_at_claim", where, claims[task["id"]], task["claims"])
        winners = agreed[task["id"]]
        if task["state"] != "ACCEPTED":
            yield from differences("task_paid_once", f"winners of {where}", len(winners), 0)
            continue
        if task["accepted_attempt_id"] not in {winner["id"] for winner in winners}:
            yield Finding("every_task_accepted", f"{where}: its accepted attempt is not among the accepted ones")
        taken_in = results[task["id"]]
        yield from differences("task_paid_once", f"results taken in for {where}", taken_in, task["wanted_results"])
        owners = [winner["owner_key"] for winner in winners]
        yield from differences("task_paid_once", f"owners paid for {where}", len(set(owners)), len(owners))


def _attempt(attempt: Row) -> Iterator[Finding]:
    where = f"attempt {attempt['id']} (task {attempt['task_id']}, token {attempt['token']}, node {attempt['node_id']})"
    state = attempt["state"]
    if state in ("RUNNING", "SUBMITTED"):
        yield Finding("nothing_left_running", f"{where} is {state}, its task {attempt['task_state']}")
    if state not in RESULTS:
        if attempt["receipt"] is not None:
            yield Finding("stale_result_refused", f"{where} is {state} and has a result")
        return
    if attempt["delivered"] is not True:
        yield Finding("stale_result_refused", f"{where} is {state}, but was on record as not delivered")
    if attempt["submitted_at"] > attempt["deadline_at"]:
        yield Finding("stale_result_refused", f"{where} came after its deadline")
    spent = arithmetic.in_whole_ms(attempt["submitted_at"] - attempt["claimed_at"])
    metered = min(spent, timedelta(seconds=attempt["max_seconds"]))
    found = timedelta(milliseconds=attempt["metered_ms"])
    yield from differences("bill_equals_attempts", f"metered time of {where}", found, metered)


def _leases(snapshot: Snapshot, attempts: list[Row]) -> Iterator[Finding]:
    used: defaultdict[int, list[Row]] = defaultdict(list)
    for attempt in attempts:
        used[attempt["lease_id"]].append(attempt)
    on_node: defaultdict[int, list[Row]] = defaultdict(list)
    for lease in snapshot.rows(_LEASES):
        where = f"lease {lease['id']} on node {lease['node_id']}"
        if lease["job_closed_at"] is not None and lease["state"] != "CLOSED":
            yield Finding("no_lease_left", f"{where} of a closed job is {lease['state']}")
        on_node[lease["node_id"]].append(lease)
        busy = [(row["claimed_at"], row["submitted_at"] or row["finished_at"], 1) for row in used[lease["id"]]]
        if most_at_once(busy) > lease["lots"]:
            yield Finding("no_slot_used_twice", f"{where} ran {most_at_once(busy)} attempts on {lease['lots']} lots")
        if any(row["node_id"] != lease["node_id"] for row in used[lease["id"]]):
            yield Finding("no_slot_used_twice", f"{where} was used by another node")
    for node_id, leases in on_node.items():
        sold = most_at_once((lease["opened_at"], lease["closed_at"], lease["lots"]) for lease in leases)
        if sold > leases[0]["sellable_lots"]:
            yield Finding("no_lot_sold_twice", f"node {node_id}: {sold} of {leases[0]['sellable_lots']} lots at once")
