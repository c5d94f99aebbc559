"""The audit of the fault runs, asked about books, work and market that were tampered with: each must be noticed.

Every change is made in a transaction that is rolled back, past the triggers that would refuse it.
"""

import os

import psycopg
import pytest
from psycopg.rows import dict_row

from config.servers import paths
from config.servers.endpoints import embedded_database
from tests.faults import books, promises
from tests.faults.database import Snapshot
from tests.faults.journal import Journal

pytestmark = pytest.mark.timeout(240)
A_SETTLEMENT = "(SELECT id FROM ledger_transfer WHERE kind = 'settlement' ORDER BY id LIMIT 1)"
A_RELEASE = "(SELECT id FROM ledger_transfer WHERE kind = 'RELEASE' ORDER BY id LIMIT 1)"
AN_ATTEMPT = "(SELECT id FROM scheduler_attempt WHERE state = 'ACCEPTED' ORDER BY id LIMIT 1)"
A_LEASE = "(SELECT id FROM marketplace_lease ORDER BY id LIMIT 1)"

TAMPERING = {
    "a posting is one micro-credit more": (
        f"UPDATE ledger_posting SET amount_micro = amount_micro + 1 WHERE id = (SELECT min(id) FROM ledger_posting"
        f" WHERE transfer_id = {A_SETTLEMENT})",
        {"books_sum_to_zero", "bill_equals_attempts", "balances_equal_split"},
    ),
    "a task is settled twice": (
        f"""WITH again AS (INSERT INTO ledger_transfer (idempotency_key, kind, fingerprint)
              SELECT 'task:again:settle', kind, fingerprint FROM ledger_transfer WHERE id = {A_SETTLEMENT} RETURNING id)
            INSERT INTO ledger_posting (transfer_id, account_id, amount_micro)
              SELECT again.id, account_id, amount_micro FROM again CROSS JOIN ledger_posting
               WHERE transfer_id = {A_SETTLEMENT}""",
        {"task_paid_once", "hold_is_empty", "balances_equal_split"},
    ),
    "a settlement is gone": (
        f"DELETE FROM ledger_posting WHERE transfer_id = {A_SETTLEMENT}",
        {"task_paid_once", "bill_equals_attempts", "hold_is_empty", "balances_equal_split"},
    ),
    "a hold was not given back": (
        f"DELETE FROM ledger_posting WHERE transfer_id = {A_RELEASE}",
        {"hold_is_empty", "balances_equal_split"},
    ),
    "an attempt was billed one micro-credit more": (
        f"UPDATE scheduler_attempt SET billed_micro = billed_micro + 1 WHERE id = {AN_ATTEMPT}",
        {"bill_equals_attempts"},
    ),
    "an attempt was metered a second more": (
        f"UPDATE scheduler_attempt SET metered_ms = metered_ms + 1000 WHERE id = {AN_ATTEMPT}",
        {"bill_equals_attempts"},
    ),
    "the owners' shares were others": (
        "UPDATE nodes_nodeshare SET share_bp = 10000 - share_bp WHERE share_bp < 10000",
        {"bill_equals_attempts", "balances_equal_split"},
    ),
    "an attempt is still running": (
        f"UPDATE scheduler_attempt SET state = 'RUNNING', billed_micro = NULL WHERE id = {AN_ATTEMPT}",
        {"nothing_left_running", "task_paid_once", "bill_equals_attempts"},
    ),
    "a result was taken in of an attempt that was lost": (
        f"UPDATE reputation_evidence SET success = false WHERE reference = 'attempt:' || {AN_ATTEMPT}"
        " AND dimension = 'delivery'",
        {"stale_result_refused"},
    ),
    "a lost attempt has a result": (
        f"UPDATE scheduler_attempt SET state = 'LOST', billed_micro = NULL, billed_ms = NULL WHERE id = {AN_ATTEMPT}",
        {"stale_result_refused", "task_paid_once"},
    ),
    "a claim was not counted": (
        "UPDATE scheduler_task SET claims = claims - 1 WHERE id = (SELECT min(id) FROM scheduler_task)",
        {"attempt_counted_at_claim"},
    ),
    "a task failed silently": (
        "UPDATE scheduler_task SET state = 'FAILED', accepted_attempt_id = NULL"
        " WHERE id = (SELECT min(id) FROM scheduler_task)",
        {"every_task_accepted", "task_paid_once"},
    ),
    "two attempts used one slot": (
        "UPDATE scheduler_attempt SET claimed_at = claimed_at - interval '1 hour' WHERE id ="
        " (SELECT max(id) FROM scheduler_attempt)",
        {"no_slot_used_twice", "bill_equals_attempts"},
    ),
    "a lot was sold twice": (
        "UPDATE marketplace_lease SET lots = lots + 1000 WHERE id = (SELECT max(id) FROM marketplace_lease)",
        {"no_lot_sold_twice"},
    ),
    "a lease of a closed job goes on": (
        f"UPDATE marketplace_lease SET state = 'LIVE', ended_at = NULL, closed_at = NULL WHERE id = {A_LEASE}",
        {"no_lease_left", "journal_replays"},
    ),
    "an order has another fill": (
        "UPDATE marketplace_order SET filled_lots = filled_lots - 1 WHERE id ="
        " (SELECT min(id) FROM marketplace_order WHERE filled_lots > 0)",
        {"journal_replays"},
    ),
    "a trade was at another price": (
        "UPDATE marketplace_trade SET price_micro = price_micro + 1 WHERE id = (SELECT min(id) FROM marketplace_trade)",
        {"journal_replays"},
    ),
    "the journal lacks an event": (
        "DELETE FROM marketplace_journalevent WHERE sequence = 2",
        {"journal_replays"},
    ),
    "the journal was rewritten": (
        "UPDATE marketplace_journalevent SET payload = jsonb_set(payload, '{order,lots}', '9')"
        " WHERE id = (SELECT min(id) FROM marketplace_journalevent WHERE kind = 'PLACE')",
        {"journal_replays"},
    ),
    "a matcher wrote after it was deposed": (
        "UPDATE marketplace_journalevent SET epoch = epoch + 1 WHERE sequence = 1",
        {"journal_replays"},
    ),
    "an acknowledged job is gone": (
        "UPDATE scheduler_job SET idempotency_key = 'another' WHERE idempotency_key = 'the first job'",
        {"acknowledged_write_exists"},
    ),
    "an acknowledged file is gone": (
        "UPDATE registry_blob SET digest = 'sha256:' || repeat('0', 64) WHERE id = (SELECT min(id) FROM registry_blob)",
        {"acknowledged_write_exists"},
    ),
    "an acknowledged result is gone": (
        f"ALTER TABLE scheduler_attempt DROP CONSTRAINT attempt_result_is_whole;"
        f" UPDATE scheduler_attempt SET receipt = NULL WHERE id = {AN_ATTEMPT}",
        {"acknowledged_write_exists"},
    ),
}


def asked(grid, auditor, tampering):
    """What the audit finds in a transaction in which `tampering` was done."""
    known = promises.heard(grid.record, grid.machines)
    arguments = embedded_database(paths.socket_dir(grid.platform.run_dir, as_root=os.geteuid() == 0)).psycopg()
    with psycopg.connect(**arguments, row_factory=dict_row) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET LOCAL session_replication_role = replica")
        changed = connection.execute(tampering).rowcount
        snapshot = Snapshot(connection)
        account = books.calculate(snapshot, grid.issued_micro)
        findings = auditor.in_the_database(snapshot, account, Journal())
        findings += promises.check(snapshot, known)
        connection.rollback()
    assert changed, "nothing was there to tamper with"
    return {finding.invariant for finding in findings}


@pytest.mark.usefixtures("first_job")
def test_nothing_is_found_where_nothing_was_done(grid, auditor):
    assert asked(grid, auditor, "SELECT 1") == set()


@pytest.mark.usefixtures("first_job")
@pytest.mark.parametrize("what", TAMPERING)
def test_what_was_tampered_with_is_found(grid, auditor, what):
    tampering, broken = TAMPERING[what]

    assert asked(grid, auditor, tampering) >= broken
