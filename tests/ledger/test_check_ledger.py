"""The audit finds what was changed past the triggers, and stops payouts until a person decides."""

import itertools

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common import errors
from ledger import queries, tasks
from ledger import services as ledger
from ledger.models import PayoutFreeze
from ledger.services import Entry

ALICE, BOB = "coop:1:member:1", "coop:1:member:2"
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NUMBERS = itertools.count()


@pytest.fixture
def books(give):
    """100 to Alice, 30 of them to Bob under the key "pay", a refund of 10 and its reversal."""
    give(ALICE, 100)
    ledger.transfer(key="pay", kind="PAYMENT", entries=[Entry(ALICE, -30), Entry(BOB, 30)])
    ledger.transfer(key="refund", kind="PAYMENT", entries=[Entry(BOB, -10), Entry(ALICE, 10)])
    ledger.reverse(key_of_original="refund", key="undo", reason="not owed")


def codes():
    return {difference.code for difference in queries.find_differences()}


def test_good_books_have_no_differences(books):
    assert queries.find_differences() == []
    assert queries.extent() == queries.Extent(transfers=4, postings=8)
    assert not queries.payouts_frozen()


OF_PAY = "ledger_transfer AS t WHERE t.id = transfer_id AND t.idempotency_key = 'pay'"
POSTING = f"FROM {OF_PAY} AND amount_micro > 0"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}",
            {"transfer_unbalanced", "asset_unbalanced", "fingerprint_differs"},
        ),
        (
            f"UPDATE ledger_posting SET amount_micro = 10 * amount_micro FROM {OF_PAY}",
            {"fingerprint_differs", "account_negative"},
        ),
        (
            f"DELETE FROM ledger_posting USING {OF_PAY} AND amount_micro > 0",
            {
                "transfer_too_small",
                "transfer_unbalanced",
                "asset_unbalanced",
                "fingerprint_differs",
            },
        ),
        (
            "DELETE FROM ledger_transfer WHERE idempotency_key = 'pay'",
            {"posting_orphaned"},
        ),
        (
            f"DELETE FROM ledger_ledgeraccount WHERE address = '{BOB}'",
            {
                "posting_orphaned",
                "fingerprint_differs",
                "transfer_unbalanced",
                "asset_unbalanced",
            },
        ),
        (
            "UPDATE ledger_posting SET account_id = (SELECT id FROM ledger_ledgeraccount WHERE may_be_negative)"
            f" {POSTING}",
            {"fingerprint_differs"},
        ),
        (f"UPDATE ledger_posting SET xid = '3' {POSTING}", {"posting_added_later"}),
        ("UPDATE ledger_transfer SET reason = 'bribe' WHERE idempotency_key = 'pay'", {"fingerprint_differs"}),
        ("UPDATE ledger_transfer SET kind = 'GIFT' WHERE idempotency_key = 'pay'", {"fingerprint_differs"}),
        (
            "UPDATE ledger_transfer SET reverses_id = NULL WHERE idempotency_key = 'undo'",
            {"fingerprint_differs"},
        ),
        (
            "UPDATE ledger_transfer SET reverses_id = (SELECT id FROM ledger_transfer WHERE idempotency_key = 'pay')"
            " WHERE idempotency_key = 'undo'",
            {"fingerprint_differs", "reversal_not_mirror"},
        ),
        (
            f"INSERT INTO ledger_balanceprojection SELECT id, 5 FROM ledger_ledgeraccount WHERE address = '{ALICE}'",
            {"projection_differs"},
        ),
        (
            "INSERT INTO ledger_projectioncut VALUES (1, (pg_current_xact_id()::text::bigint + 1)::text::xid8)",
            {"projection_differs", "balances_from_elsewhere"},
        ),
    ],
)
def test_tampering_with_a_row_is_found(books, close_books, tamper, sql, expected):
    close_books()

    tamper(sql)

    assert codes() == expected


def test_the_finding_names_the_transfer_and_the_sum(books, close_books, tamper):
    close_books()
    tamper(f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}")

    lines = [str(difference) for difference in queries.find_differences()]

    assert "transfer_unbalanced pay: found a sum of 1 micro CREDIT; only 0 is accepted" in lines


@pytest.mark.parametrize("name", sorted(queries.differences.TRIGGERS))
@pytest.mark.parametrize("harm", ["ALTER TABLE {table} DISABLE TRIGGER {name}", "DROP TRIGGER {name} ON {table}"])
def test_a_trigger_that_does_not_guard_is_found(db, name, harm):
    table, _ = queries.differences.TRIGGERS[name]

    with connection.cursor() as cursor:
        cursor.execute(harm.format(table=table, name=name))

    what = "missing" if "DROP" in harm else "not enabled"
    assert [str(d) for d in queries.find_differences()] == [f"trigger_not_guarding {name}: on {table}: {what}"]


def test_every_trigger_of_the_ledger_is_expected(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'ledger_%'"
        )
        names = {row[0] for row in cursor.fetchall()}

    assert names == queries.differences.TRIGGERS.keys()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, TEXT, TEXT)
def test_the_database_computes_the_same_fingerprints(db, key, kind, reason):
    key = f"{next(NUMBERS)} {key}"
    ledger.transfer(
        key=key,
        kind=kind or "K",
        entries=[Entry("coop:1:issuance", -3), Entry("coop:1:issuance", -12), Entry(BOB, 5), Entry(ALICE, 10)],
        reason=reason,
    )
    ledger.reverse(key_of_original=key, key=f"undo {key}", reason=reason)

    assert queries.find_differences() == []


@pytest.mark.django_db(transaction=True)
def test_the_command_reports_exits_with_1_and_freezes_payouts(books, tamper, capsys):
    call_command("check_ledger")
    assert "4 transfers, 8 postings checked" in (report := capsys.readouterr().out)
    assert "The books balance. Payouts are open." in report

    tamper(f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}")
    with pytest.raises(SystemExit) as end:
        call_command("check_ledger")

    assert end.value.code == 1
    report = capsys.readouterr().out
    assert "  fingerprint_differs pay: the stored transfer is not the one that was made\n" in report
    assert "3 differences. Payouts are frozen." in report
    assert queries.payouts_frozen()


def test_a_freeze_stays_until_a_person_lifts_it(books, close_books, tamper):
    close_books()
    tamper(f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}")
    tasks.check_ledger()
    tamper(f"UPDATE ledger_posting SET amount_micro = 30 {POSTING}")

    assert ledger.check_ledger() == []
    assert queries.payouts_frozen()

    call_command("lift_payout_freeze", by="Bob", reason="restored from the backup of Monday")
    assert not queries.payouts_frozen()
    assert PayoutFreeze.objects.get().lift.lifted_by == "Bob"


def test_the_same_findings_freeze_once_and_new_ones_again(books, close_books, tamper):
    close_books()
    tamper(f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}")
    ledger.check_ledger()
    ledger.check_ledger()
    assert PayoutFreeze.objects.count() == 1

    tamper("UPDATE ledger_transfer SET reason = 'bribe' WHERE idempotency_key = 'refund'")
    ledger.check_ledger()
    assert PayoutFreeze.objects.count() == 2


def test_a_lift_does_not_hide_what_still_differs(books, close_books, tamper):
    close_books()
    tamper(f"UPDATE ledger_posting SET amount_micro = 31 {POSTING}")
    ledger.check_ledger()

    assert ledger.lift_payout_freeze(lifted_by="Bob", reason="I looked") == 1
    ledger.check_ledger()

    assert queries.payouts_frozen()


def test_a_lift_needs_a_freeze_a_name_and_a_reason(db):
    with pytest.raises(ledger.NothingFrozen):
        ledger.lift_payout_freeze(lifted_by="Bob", reason="why not")
    with pytest.raises(CommandError, match="not frozen"):
        call_command("lift_payout_freeze", by="Bob", reason="why not")
    PayoutFreeze.objects.create(findings="x")
    for name, reason in [("", "why"), ("Bob", "  ")]:
        with pytest.raises(errors.Invalid):
            ledger.lift_payout_freeze(lifted_by=name, reason=reason)

    assert queries.payouts_frozen()
