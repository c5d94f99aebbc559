"""What the database itself refuses, whoever writes."""

import pytest
from django.db import Error, IntegrityError, connection, transaction

from common import locks
from common.locks import Space
from ledger import queries
from ledger import services as ledger
from ledger.services import Entry

ALICE, BOB = "coop:1:member:1", "coop:1:member:2"


def sql(statement, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return cursor.fetchone()[0] if cursor.description else None


def raw_transfer(*amounts, key="raw"):
    """Write a transfer past all services: (address, amount) each."""
    transfer = sql(
        "INSERT INTO ledger_transfer (idempotency_key, kind, fingerprint) VALUES (%s, 'RAW', '') RETURNING id", key
    )
    for address, amount in amounts:
        raw_posting(transfer, address, amount)
    return transfer


def raw_posting(transfer, address, amount, asset="CREDIT"):
    return sql(
        "INSERT INTO ledger_posting (transfer_id, account_id, amount_micro)"
        " SELECT %s, id, %s FROM ledger_ledgeraccount WHERE address = %s AND asset = %s RETURNING id",
        transfer,
        amount,
        address,
        asset,
    )


@pytest.fixture
def accounts(give):
    """Alice holds 100 CREDIT and 100 EUR, Bob 1 of each."""
    for asset in ("CREDIT", "EUR"):
        give(ALICE, 100, asset)
        give(BOB, 1, asset)


def test_a_balanced_raw_transfer_is_accepted(accounts, close_books):
    raw_transfer((ALICE, -5), (BOB, 5))

    close_books()
    assert queries.balance(BOB) == 6


def test_unbalanced_postings_are_refused_at_commit(accounts, close_books):
    raw_transfer((ALICE, -5), (BOB, 4))

    with pytest.raises(IntegrityError, match="sums to -1 micro CREDIT; only zero"):
        close_books()


def test_assets_do_not_balance_each_other(accounts, close_books):
    transfer = raw_transfer((ALICE, -5))
    raw_posting(transfer, BOB, 5, "EUR")

    with pytest.raises(IntegrityError, match="sums to"):
        close_books()


@pytest.mark.parametrize("amounts", [[], [(ALICE, -5)]])
def test_fewer_than_two_postings_are_refused(accounts, close_books, amounts):
    raw_transfer(*amounts)

    with pytest.raises(IntegrityError, match="at least two are accepted"):
        close_books()


def test_a_posting_after_an_early_check_is_checked_again(accounts, close_books):
    transfer = raw_transfer((ALICE, -5), (BOB, 5))
    close_books()

    raw_posting(transfer, BOB, 5)

    with pytest.raises(IntegrityError, match="sums to 5 micro"):
        close_books()


def test_a_posting_that_moves_nothing_is_refused(accounts):
    with pytest.raises(IntegrityError, match="posting_moves_something"):
        raw_transfer((ALICE, 0))


def test_an_account_that_may_not_owe_is_not_negative_at_commit(accounts, close_books):
    raw_transfer((ALICE, -101), (BOB, 101))

    with pytest.raises(IntegrityError, match=r"coop:1:member:1 would hold -1 micro CREDIT"):
        close_books()


def test_an_account_may_be_negative_in_between(accounts, close_books):
    raw_transfer((ALICE, -101), (BOB, 101))
    raw_transfer((ALICE, 1), (BOB, -1), key="back")

    close_books()
    assert queries.balance(ALICE) == 0


@pytest.mark.parametrize(("first", "second"), [(-60, -50), (-110, -1), (-1, -110)])
def test_several_debits_of_one_account_are_judged_together(accounts, close_books, first, second):
    raw_transfer((ALICE, first), (BOB, -first), key="first")
    raw_transfer((ALICE, second), (BOB, -second), key="second")

    with pytest.raises(IntegrityError, match=r"would hold -1[01] micro CREDIT; at least 0 is accepted"):
        close_books()


@pytest.mark.parametrize(("first", "second"), [((-5, 4), (-5, 5)), ((-5, 5), (-5, 4)), ((-5, 4), (-4, 5))])
def test_each_of_several_transfers_must_balance(accounts, close_books, first, second):
    raw_transfer((ALICE, first[0]), (BOB, first[1]), key="first")
    raw_transfer((ALICE, second[0]), (BOB, second[1]), key="second")

    with pytest.raises(IntegrityError, match="only zero is accepted"):
        close_books()


@pytest.mark.parametrize("table", ["ledger_posting", "ledger_transfer"])
def test_a_row_cannot_claim_another_transaction(accounts, table):
    columns = {
        "ledger_transfer": ("idempotency_key, kind, fingerprint, xid", "'other', 'RAW', '', '5'"),
        "ledger_posting": ("transfer_id, account_id, amount_micro, xid", "1, 1, 1, '5'"),
    }
    names, values = columns[table]

    with pytest.raises(IntegrityError, match="only the current one is accepted"):
        sql(f"INSERT INTO {table} ({names}) VALUES ({values})")


@pytest.mark.parametrize(
    ("address", "may_be_negative", "constraint"),
    [
        ("coop:1:vault", False, "ledgeraccount_has_an_address"),
        ("coop:1:treasury\n", False, "ledgeraccount_has_an_address"),
        ("coop:1:treasury", True, "ledgeraccount_address_decides_sign"),
        ("coop:1:issuance", False, "ledgeraccount_address_decides_sign"),
    ],
)
def test_an_account_is_what_its_address_says(db, address, may_be_negative, constraint):
    with pytest.raises(IntegrityError, match=constraint):
        sql(
            "INSERT INTO ledger_ledgeraccount (address, asset, may_be_negative) VALUES (%s, 'CREDIT', %s)",
            address,
            may_be_negative,
        )


TABLES = ["ledgeraccount", "transfer", "posting", "payoutfreeze", "payoutfreezelift"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "change", ["UPDATE ledger_{} SET id = id", "DELETE FROM ledger_{}", "TRUNCATE ledger_{} CASCADE"]
)
def test_what_is_written_never_changes(accounts, close_books, tamper, table, change):
    tamper("INSERT INTO ledger_payoutfreeze (id, findings) VALUES (1, 'x')")
    tamper("INSERT INTO ledger_payoutfreezelift (freeze_id, lifted_by, reason) VALUES (1, 'x', 'x')")
    close_books()

    with pytest.raises(Error, match=r"append-only: (UPDATE|DELETE|TRUNCATE) refused"), transaction.atomic():
        sql(change.format(table))

    assert queries.balance(ALICE) == 100


@pytest.mark.django_db(transaction=True)
def test_a_committed_transfer_takes_no_more_postings():
    entries = [Entry("coop:1:issuance", -100), Entry(ALICE, 100)]
    transfer = ledger.transfer(key="issue", kind="ISSUE", entries=entries)

    with pytest.raises(IntegrityError, match="was not made in this transaction"), transaction.atomic():
        sql(
            "INSERT INTO ledger_posting (transfer_id, account_id, amount_micro)"
            " SELECT %s, id, CASE WHEN may_be_negative THEN -1 ELSE 1 END FROM ledger_ledgeraccount",
            transfer,
        )

    assert queries.balance(ALICE) == 100


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_credits_are_taken_in_read_committed_only(isolation):
    ledger.transfer(key="issue", kind="ISSUE", entries=[Entry("coop:1:issuance", -100), Entry(ALICE, 100)])

    def take():
        with transaction.atomic():
            sql(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
            raw_transfer((ALICE, -1), ("coop:1:issuance", 1))

    with pytest.raises(IntegrityError, match="READ COMMITTED only"):
        take()

    assert queries.balance(ALICE) == 100


@pytest.mark.parametrize(("space", "address"), [(Space.LEDGER_ACCOUNT, ALICE), (Space.HOLD, "hold:job:1")])
def test_the_database_takes_the_same_lock_as_the_services(accounts, give, close_books, space, address):
    give("hold:job:1", 5)
    close_books()
    mine = (
        "SELECT array_agg(objid::bigint) FROM pg_locks "
        f"WHERE locktype = 'advisory' AND classid = {int(space)} AND pid = pg_backend_pid()"
    )
    before = sql(mine)

    locks.lock(space, [address])
    with_lock = sql(mine)
    raw_transfer((address, -1), (BOB, 1))
    close_books()

    assert before is None
    assert len(with_lock) == 1
    assert sql(mine) == with_lock
