"""A real job over HTTP on a fresh platform with two machines of two owners, from submission to payment."""

import random

import httpx
import pytest

from tests.faults import waiting, workload

pytestmark = pytest.mark.timeout(240)
ORDERED_SECONDS = 60.0


def post(grid, spec, key):
    """One try, whatever the answer is."""
    headers = {"Authorization": f"Bearer {grid.member_token}", "Idempotency-Key": key}
    return httpx.post(f"{grid.platform.url}/api/v1/jobs", json=spec, headers=headers, timeout=20)


def wallets(grid):
    """What everybody has by the books, the stewards' issue left out."""
    rows = grid.database.rows("SELECT address, balance_micro FROM ledger_balance WHERE balance_micro <> 0")
    return {row["address"]: row["balance_micro"] for row in rows if not row["address"].endswith(":issuance")}


def test_the_first_job_runs_is_checked_and_is_paid_to_the_micro_credit(grid, auditor, first_job):
    findings = auditor.audit([first_job]) + auditor.final()

    seen, found = grid.member.job(first_job.id), wallets(grid)
    attempts = grid.database.rows(
        "SELECT attempt.* FROM scheduler_attempt AS attempt JOIN scheduler_task AS task ON task.id = attempt.task_id"
        " WHERE task.job_id = %s",
        first_job.id,
    )
    payouts = grid.database.rows(
        "SELECT address, sum(amount_micro) AS sum FROM ledger_posting AS posting JOIN ledger_ledgeraccount AS account"
        " ON account.id = account_id JOIN ledger_transfer AS transfer ON transfer.id = transfer_id"
        " WHERE idempotency_key IN (SELECT 'task:' || id || ':settle' FROM scheduler_task WHERE job_id = %s)"
        " GROUP BY address",
        first_job.id,
    )
    paid = {row["address"]: int(row["sum"]) for row in payouts}
    bill = seen["bill"]["total_micro"]
    assert findings == []
    assert seen["state"] == "DONE"
    assert seen["tasks"] == {"total": 12, "accepted": 12, "failed": 0, "cancelled": 0, "running": 0}
    assert [row["state"] for row in attempts] == ["ACCEPTED"] * 24
    assert {row["node_id"] for row in attempts} == {machine.node_id for machine in grid.machines}
    assert bill == sum(row["billed_micro"] for row in attempts) > 0
    assert paid[f"hold:job:{first_job.id}"] == -bill
    assert len([address for address in paid if ":member:" in address]) == 3  # two operators, and one who has a share
    assert sum(paid.values()) == 0
    assert sum(found.values()) == sum(grid.issued_micro.values())


def test_its_timeline_says_what_happened_in_order(grid, first_job):
    events = grid.member.get(f"/api/v1/jobs/{first_job.id}/events").json()["events"]

    assert [event["reason"] for event in reversed(events)] == [
        "job_submitted",
        "job_expanded",
        "order_placed",
        "job_started",
        "job_done",
    ]


def test_a_job_without_checks_is_checked_all_the_same_while_its_nodes_are_on_probation(grid, auditor):
    job = workload.submit_sums(grid.member, grid.material, random.Random(3), "an unchecked job", "none")
    auditor.rest()

    purposes = {
        row["purpose"]: row["count"]
        for row in grid.database.rows(
            "SELECT purpose, count(*) FROM scheduler_attempt AS attempt JOIN scheduler_task AS task"
            " ON task.id = attempt.task_id WHERE task.job_id = %s GROUP BY purpose",
            job.id,
        )
    }
    states = set(grid.database.ids("SELECT state FROM nodes_node"))

    assert auditor.audit([job]) == []
    assert purposes["BOUGHT"] == 12
    assert ("PROBATION" in purposes) or states == {"ACTIVE"}


def test_an_impossible_job_is_refused_at_once_with_the_constraint_and_holds_nothing(grid, first_job):
    before = wallets(grid)

    answer = post(grid, dict(first_job.spec) | {"memory_mib": 1_000_000}, "too large")

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "impossible_job")
    assert problem["constraints"] == {"memory": 2}
    assert problem["nodes"] == 2
    assert wallets(grid) == before
    assert grid.database.value("SELECT count(*) FROM scheduler_job WHERE idempotency_key = 'too large'") == 0


def test_a_job_too_cheap_for_every_machine_waits_and_its_cancel_gives_everything_back(grid, auditor):
    before = wallets(grid)
    job_id = workload.submit_worthless(grid.member, grid.material, "too cheap")
    resting = "SELECT count(*) FROM marketplace_order WHERE reference = %s AND state = 'OPEN'"
    waiting.until(lambda: grid.database.value(resting, f"job:{job_id}"), ORDERED_SECONDS, "its order on the book")
    why = grid.member.job(job_id)["waiting"]
    held = grid.member.job(job_id)["bill"]["remaining_micro"]

    grid.member.cancel(job_id)
    auditor.rest()
    auditor.cancelled.add(job_id)

    assert why == "waiting_for_capacity"
    assert held == 1
    assert wallets(grid) == before
    assert auditor.audit([]) == []


def test_the_same_key_with_other_contents_is_refused(grid, auditor, first_job):
    spec = dict(first_job.spec) | {"limit_price_micro": workload.WORTHLESS_PRICE_MICRO, "max_seconds": 1}

    first, same, other = (post(grid, spec | changes, "one key") for changes in ({}, {}, {"max_seconds": 2}))

    job_id = first.json()["id"]
    grid.member.cancel(job_id)
    auditor.cancelled.add(job_id)
    auditor.rest()
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (202, None)
    assert (same.status_code, same.json(), same.headers["Idempotency-Replayed"]) == (202, first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
