"""Money: every accepted task was paid once, as the attempts say, and every account holds what follows from that."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from tests.faults import arithmetic
from tests.faults.database import Row, Snapshot
from tests.faults.findings import Finding, differences

_JOBS = """
SELECT job.id, job.cooperative_id, job.submitter_id, job.royalty_micro, job.max_seconds, job.state, job.held_micro,
       policy.rules, model.publisher_id
  FROM scheduler_job AS job
  JOIN accounts_policyversion AS policy
    ON policy.cooperative_id = job.cooperative_id AND policy.number = job.policy_number
  LEFT JOIN registry_modelversion AS version ON version.id = job.model_version_id
  LEFT JOIN registry_model AS model ON model.id = version.model_id
"""
_AGREED = """
SELECT attempt.*, task.job_id, task.accepted_attempt_id
  FROM scheduler_attempt AS attempt JOIN scheduler_task AS task ON task.id = attempt.task_id
 WHERE task.state = 'ACCEPTED' AND attempt.state = 'ACCEPTED' ORDER BY attempt.id
"""
_POSTINGS = """
SELECT transfer.idempotency_key AS key, transfer.kind, account.address, account.asset, posting.amount_micro
  FROM ledger_posting AS posting
  JOIN ledger_transfer AS transfer ON transfer.id = posting.transfer_id
  JOIN ledger_ledgeraccount AS account ON account.id = posting.account_id
"""
_SHARES = """
SELECT share.node_id, share.share_bp, share.owner_id, member.cooperative_id
  FROM nodes_nodeshare AS share JOIN accounts_membership AS member ON member.id = share.owner_id
"""


@dataclass(frozen=True)
class Bill:
    """What one job must have cost, in micro-credits."""

    compute_micro: int
    royalty_micro: int
    assurance_micro: int


@dataclass(frozen=True)
class Account:
    """The independent calculation of everything: per task, per job, per address."""

    due: Mapping[int, arithmetic.Due]
    bills: Mapping[int, Bill]
    balances: Mapping[str, int]


def calculate(snapshot: Snapshot, issued_micro: Mapping[str, int]) -> Account:
    """Compute from attempts, shares and policies what every task, job and address must show."""
    shares: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for row in snapshot.rows(_SHARES):
        shares[row["node_id"]][_wallet(row["cooperative_id"], row["owner_id"])] = row["share_bp"]
    jobs = {row["id"]: row for row in snapshot.rows(_JOBS)}
    agreed: defaultdict[int, list[Row]] = defaultdict(list)
    for row in snapshot.rows(_AGREED):
        agreed[row["task_id"]].append(row)
    due: dict[int, arithmetic.Due] = {}
    bills: dict[int, Bill] = dict.fromkeys(jobs, Bill(0, 0, 0))
    balances = Counter(issued_micro)
    for address, amount in issued_micro.items():
        balances[f"coop:{address.split(':')[1]}:issuance"] -= amount
    for task_id, attempts in agreed.items():
        job = jobs[attempts[0]["job_id"]]
        terms = _terms(job)
        due[task_id] = arithmetic.due([_work(row, job, shares[row["node_id"]]) for row in attempts], terms)
        bills[job["id"]] = _with(bills[job["id"]], due[task_id], attempts, job["royalty_micro"])
        for address, amount in due[task_id].moves.items():
            payer = _wallet(job["cooperative_id"], job["submitter_id"])
            balances[payer if address == terms.royalty_paid_by else address] += amount
    return Account(due, bills, {address: amount for address, amount in balances.items() if amount})


def check(snapshot: Snapshot, account: Account) -> Iterator[Finding]:
    """Compare the calculation with what was posted. Every job must have been closed."""
    posted: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, str] = {}
    for row in snapshot.rows(_POSTINGS):
        posted[row["key"]][row["address"]] += row["amount_micro"]
        kinds[row["key"]] = row["kind"]
    yield from differences("books_sum_to_zero", "all postings", sum(sum(p.values()) for p in posted.values()), 0)
    for key, moves in posted.items():
        yield from differences("books_sum_to_zero", key, sum(moves.values()), 0)
    settled = {key for key, kind in kinds.items() if kind == "settlement"}
    expected = {f"task:{task_id}:settle" for task_id, due in account.due.items() if due.moves}
    yield from differences("task_paid_once", "settlements nobody is due", sorted(settled - expected), [])
    yield from differences("task_paid_once", "accepted tasks without settlement", sorted(expected - settled), [])
    for task_id, due in account.due.items():
        moved = {address: amount for address, amount in posted[f"task:{task_id}:settle"].items() if amount}
        yield from differences("bill_equals_attempts", f"settlement of task {task_id}", moved, dict(due.moves))
    yield from _billed(snapshot, account)
    yield from _balances(snapshot, posted, account)


def _billed(snapshot: Snapshot, account: Account) -> Iterator[Finding]:
    for row in snapshot.rows("SELECT id, task_id, state, billed_micro, billed_ms FROM scheduler_attempt"):
        due = account.due.get(row["task_id"])
        expected: tuple[int | None, int | None] = (None, None)
        if row["state"] == "ACCEPTED" and due is not None:
            expected = (due.billed_micro[row["id"]], due.metered // timedelta(milliseconds=1))
        found = (row["billed_micro"], row["billed_ms"])
        yield from differences("bill_equals_attempts", f"attempt {row['id']} ({row['state']})", found, expected)


def _balances(snapshot: Snapshot, posted: Mapping[str, Counter[str]], account: Account) -> Iterator[Finding]:
    sums: Counter[str] = Counter()
    for moves in posted.values():
        sums.update(moves)
    found = {address: amount for address, amount in sums.items() if amount}
    for address in sorted(found.keys() | account.balances.keys()):
        invariant = "hold_is_empty" if address.startswith("hold:") else "balances_equal_split"
        yield from differences(invariant, address, found.get(address, 0), account.balances.get(address, 0))
    shown = {row["address"]: row["balance_micro"] for row in snapshot.rows("SELECT * FROM ledger_balance")}
    projected = {address: amount for address, amount in shown.items() if amount}
    yield from differences("balances_equal_split", "the view of balances", projected, found)


def _terms(job: Row) -> arithmetic.Terms:
    rules = job["rules"] if isinstance(job["rules"], dict) else json.loads(job["rules"])
    cooperative = job["cooperative_id"]
    return arithmetic.Terms(
        cooperative=f"coop:{cooperative}",
        rules=rules,
        longest=timedelta(seconds=job["max_seconds"]),
        royalty_micro=job["royalty_micro"],
        royalty_paid_by=f"hold:job:{job['id']}",
        publisher=_wallet(cooperative, job["publisher_id"]) if job["publisher_id"] else "",
    )


def _work(row: Row, job: Row, shares: Mapping[str, int]) -> arithmetic.Work:
    bought = row["purpose"] == "BOUGHT"
    return arithmetic.Work(
        attempt_id=row["id"],
        paid_by=f"hold:job:{job['id']}" if bought else f"coop:{job['cooperative_id']}:assurance",
        price_micro=row["price_micro"],
        lot_milli=row["lot_milli"],
        claimed_at=row["claimed_at"],
        submitted_at=row["submitted_at"],
        shares=shares,
    )


def _with(bill: Bill, due: arithmetic.Due, attempts: list[Row], royalty_micro: int) -> Bill:
    bought = sum(due.billed_micro[row["id"]] for row in attempts if row["purpose"] == "BOUGHT")
    checks = sum(due.billed_micro[row["id"]] for row in attempts if row["purpose"] != "BOUGHT")
    return Bill(bill.compute_micro + bought, bill.royalty_micro + royalty_micro, bill.assurance_micro + checks)


def _wallet(cooperative_id: int, membership_id: int) -> str:
    return f"coop:{cooperative_id}:member:{membership_id}"
