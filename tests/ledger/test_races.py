"""Many at once: nobody overdraws, nothing happens twice, nobody waits for ever."""

import threading
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction

from ledger import queries
from ledger import services as ledger
from ledger.services import Entry, NewTransfer

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, BOB, ISSUANCE = "coop:1:member:1", "coop:1:member:2", "coop:1:issuance"


def pay(key, amount, payer=ALICE, payee=BOB):
    return ledger.transfer(key=key, kind="PAYMENT", entries=[Entry(payer, -amount), Entry(payee, amount)])


def spend(n):
    """Five payments of 30 in a row by every means there is; how many were possible."""
    done = 0
    for turn in range(5):
        key = f"spender {n} turn {turn}"
        try:
            if n % 2:
                pay(key, 30)
            else:
                ledger.hold(payer=ALICE, hold_address=f"hold:job:{n}", amount_micro=30, key=key)
            done += 1
        except ledger.InsufficientFunds:
            continue
    return done


def test_sixteen_spenders_never_overdraw_a_wallet(give, together):
    give(ALICE, 1000)

    done = together(*(partial(spend, n) for n in range(2, 18)))

    assert sum(done) == 1000 // 30
    assert queries.balance(ALICE) == 1000 % 30
    assert ledger.check_ledger() == []


def test_a_hold_pays_out_once_whoever_asks(give, together):
    give("hold:job:1", 100)
    settle = [partial(pay, f"settle {n}", 20, "hold:job:1") for n in range(6)]
    release = [partial(ledger.release, hold_address="hold:job:1", payer=ALICE, key=f"release {n}") for n in range(2)]

    together(*settle, *release)

    paid = queries.balances([ALICE, BOB, "hold:job:1"])
    assert sum(paid.values()) == 100
    assert min(paid.values()) >= 0
    assert paid["hold:job:1"] == 0
    assert ledger.check_ledger() == []


@pytest.mark.parametrize("payer", [ISSUANCE, ALICE])
def test_the_same_key_from_eight_threads_is_one_transfer(give, together, payer):
    give(ALICE, 100)

    ids = together(*[partial(pay, "once", 60, payer)] * 8)

    assert len(set(ids)) == 1
    assert queries.balance(BOB) == 60
    assert ledger.check_ledger() == []


@pytest.mark.parametrize("payer", [ISSUANCE, ALICE])
def test_eight_contents_under_one_key_are_one_transfer_and_seven_refusals(give, together, payer):
    give(ALICE, 100)

    results = together(*(partial(pay, "once", amount, payer) for amount in range(1, 9)))

    refused = [result for result in results if isinstance(result, ledger.KeyReused)]
    assert len(refused) == 7
    assert queries.balance(BOB) in range(1, 9)
    assert ledger.check_ledger() == []


@pytest.mark.parametrize("payer", [ISSUANCE, ALICE])
def test_one_of_eight_reversals_happens(give, together, payer):
    give(ALICE, 100)
    pay("original", 10, payer, ALICE if payer == ISSUANCE else ISSUANCE)
    undo = [partial(ledger.reverse, key_of_original="original", key=f"undo {n}", reason="race") for n in range(8)]

    results = together(*undo)

    assert sum(isinstance(result, ledger.AlreadyReversed) for result in results) == 7
    assert queries.balance(ALICE) == 100
    assert ledger.check_ledger() == []


def test_batches_in_opposite_order_do_not_wait_for_each_other_for_ever(give, together):
    wallets = [f"coop:1:member:{n}" for n in range(1, 9)]
    for wallet in wallets:
        give(wallet, 1000)

    def shuffle(worker):
        order = wallets if worker % 2 else wallets[::-1]
        for turn in range(10):
            batch = [
                NewTransfer(
                    f"{turn} {payer}" if worker < 2 else f"{worker} {turn} {payer}",
                    "RING",
                    (Entry(payer, -1), Entry(payee, 1)),
                )
                for payer, payee in zip(order, order[1:] + order[:1], strict=True)
            ]
            ledger.transfer_many(transfers=batch)

    results = together(*(partial(shuffle, worker) for worker in (2, 3, 4, 5)))

    assert results == [None] * 4
    assert set(queries.balances(wallets).values()) == {1000}
    assert ledger.check_ledger() == []


def test_overlapping_batches_write_each_transfer_once(give, together):
    bills = [NewTransfer(f"bill {n:02}", "BILL", (Entry(ISSUANCE, -1), Entry(BOB, 1))) for n in range(40)]

    ids = together(*(partial(ledger.transfer_many, transfers=bills[::step]) for step in (1, -1, 1, -1)))

    assert ids[0] == ids[2] == ids[1][::-1] == ids[3][::-1]
    assert queries.balance(BOB) == 40


def test_two_raw_writers_cannot_overdraw_at_commit(give):
    """Past all services: both wrote before either commits, so only the lock in the trigger can tell."""
    give(ALICE, 100)
    give(BOB, 1)
    both_wrote = threading.Barrier(2, timeout=30)
    outcomes = []

    def take(n):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "WITH made AS (INSERT INTO ledger_transfer (idempotency_key, kind, fingerprint)"
                    " VALUES (%s, 'RAW', '') RETURNING id)"
                    " SELECT id FROM made",
                    [f"raw {n}"],
                )
                cursor.execute(
                    "INSERT INTO ledger_posting (transfer_id, account_id, amount_micro)"
                    " SELECT %s, id, CASE address WHEN %s THEN -60 ELSE 60 END FROM ledger_ledgeraccount"
                    " WHERE address IN (%s, %s)",
                    [cursor.fetchone()[0], ALICE, ALICE, BOB],
                )
                both_wrote.wait()
            outcomes.append("committed")
        except IntegrityError as error:
            outcomes.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=[n]) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(outcome == "committed" for outcome in outcomes) == [False, True]
    assert any("would hold -20 micro" in outcome for outcome in outcomes)
    assert queries.balance(ALICE) == 40
