"""Balances are exact at every moment, whatever the projector does."""

import threading
import time
from functools import partial

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from ledger import queries, tasks
from ledger import services as ledger
from ledger.models import BalanceProjection, ProjectionCut
from ledger.services import Entry
from ledger.services.projection import PROJECTOR_LOCK

pytestmark = pytest.mark.django_db(transaction=True)

ALICE, BOB, TREASURY, ISSUANCE = "coop:1:member:1", "coop:1:member:2", "coop:1:treasury", "coop:1:issuance"


def pay(key, amount, payer=ISSUANCE, payee=BOB):
    return ledger.transfer(key=key, kind="PAYMENT", entries=[Entry(payer, -amount), Entry(payee, amount)])


def folded():
    return dict(BalanceProjection.objects.values_list("account__address", "balance_micro"))


def elsewhere(act):
    """Run an act on another connection, as another process would."""
    answers = []

    def run():
        try:
            answers.append(act())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return answers[0]


def test_the_projector_folds_what_is_finished(give, settled):
    give(ALICE, 100)
    pay("a", 30, ALICE)
    settled()

    assert ledger.project_balances() == 3
    assert folded() == {ISSUANCE: -100, ALICE: 70, BOB: 30}

    pay("b", 5, ALICE)
    assert queries.balances([ALICE, BOB]) == {ALICE: 65, BOB: 35}
    assert folded()[ALICE] == 70

    settled()
    tasks.project_balances()
    assert folded() == {ISSUANCE: -100, ALICE: 65, BOB: 35}
    assert ledger.project_balances() == 0
    assert ledger.check_ledger() == []


def test_a_transaction_sees_its_own_postings_before_they_are_folded(give):
    give(ALICE, 100)

    with transaction.atomic():
        pay("a", 30, ALICE)
        ledger.project_balances()
        assert queries.balance(ALICE) == 70
        assert folded().get(ALICE) in {None, 100}

    assert queries.balance(ALICE) == 70


def test_a_late_commit_is_not_lost_behind_a_later_one(give, settled):
    """The trap of reading by id or time: an older transaction commits after a newer one was folded."""
    give(ALICE, 100)

    with transaction.atomic():
        pay("older", 10, ALICE)
        elsewhere(lambda: pay("newer", 1, payee=TREASURY))
        elsewhere(ledger.project_balances)
        assert elsewhere(lambda: queries.balances([ALICE, BOB, TREASURY])) == {ALICE: 100, BOB: 0, TREASURY: 1}
        assert queries.balances([ALICE, BOB, TREASURY]) == {ALICE: 90, BOB: 10, TREASURY: 1}

    assert queries.balances([ALICE, BOB, TREASURY]) == {ALICE: 90, BOB: 10, TREASURY: 1}
    settled()
    ledger.project_balances()
    assert folded() == {ISSUANCE: -101, ALICE: 90, BOB: 10, TREASURY: 1}


def test_one_projector_at_a_time(give, settled):
    give(ALICE, 100)
    settled()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PROJECTOR_LOCK])
        assert elsewhere(ledger.project_balances) == 0
        assert folded() == {}

    assert ledger.project_balances() == 2


def test_balances_are_exact_while_writers_write_and_the_projector_folds(together, settled):
    wallets = [f"coop:1:member:{n}" for n in range(1, 5)]
    is_enough = threading.Event()
    deadline = time.monotonic() + 120

    def write(wallet):
        turns = 0
        while not is_enough.is_set():
            pay(f"{wallet} in {turns}", 10, payee=wallet)
            pay(f"{wallet} fee {turns}", 3, wallet, TREASURY)
            turns += 1
            assert queries.balance(wallet) == turns * 7
        return turns

    def project():
        folds = 0
        while folds < 20 and time.monotonic() < deadline:
            folds += ledger.project_balances() > 0
        is_enough.set()
        return folds

    def audit():
        while not is_enough.is_set():
            assert sum(queries.balances([ISSUANCE, TREASURY, *wallets]).values()) == 0
            assert queries.find_differences() == []

    *turns, folds, _ = together(*(partial(write, wallet) for wallet in wallets), project, audit)

    assert folds == 20
    exact = {wallet: 7 * done for wallet, done in zip(wallets, turns, strict=True)}
    exact |= {TREASURY: 3 * sum(turns), ISSUANCE: -10 * sum(turns)}
    assert queries.balances(exact) == exact
    settled()
    ledger.project_balances()
    assert folded() == exact


def test_concurrent_projectors_fold_each_posting_once(give, together, settled):
    for n in range(1, 6):
        give(f"coop:1:member:{n}", n)
    settled()

    moved = together(*[ledger.project_balances] * 6)

    assert sorted(moved) == [0, 0, 0, 0, 0, 6]
    assert sum(folded().values()) == 0
    assert folded()["coop:1:member:5"] == 5


@pytest.fixture
def restored(give, tamper, settled):
    """Books written by a server that had counted further than this one, as after a logical restore."""
    give(ALICE, 100)
    pay("a", 30, ALICE)
    settled()
    ledger.project_balances()
    ahead = "(pg_current_xact_id()::text::bigint + 1000000)::text::xid8"
    tamper(f"UPDATE ledger_transfer SET xid = {ahead}")
    tamper(
        "UPDATE ledger_posting SET xid = transfer.xid FROM ledger_transfer AS transfer WHERE transfer.id = transfer_id"
    )
    tamper(f"UPDATE ledger_projectioncut SET upto_xid = (({ahead})::text::bigint + 1)::text::xid8")


def test_restored_books_refuse_postings_until_balances_are_rebuilt(restored, settled):
    with pytest.raises(IntegrityError, match=r"run manage\.py rebuild_balances"):
        pay("b", 5, ALICE)
    with pytest.raises(ledger.BalancesFromElsewhere):
        ledger.project_balances()
    assert [difference.code for difference in queries.find_differences()] == ["balances_from_elsewhere"]

    call_command("rebuild_balances")

    assert queries.balances([ALICE, BOB]) == {ALICE: 70, BOB: 30}
    pay("b", 5, ALICE)
    assert queries.balances([ALICE, BOB]) == {ALICE: 65, BOB: 35}
    settled()
    ledger.project_balances()
    assert queries.balances([ALICE, BOB]) == {ALICE: 65, BOB: 35}
    assert folded() == {ALICE: -5, BOB: 5}
    assert queries.find_differences() == []


def test_rebuilding_healthy_balances_changes_nothing(give, settled):
    give(ALICE, 100)
    pay("a", 30, ALICE)
    settled()
    ledger.project_balances()
    before = folded()

    assert ledger.rebuild_balances() == 3

    assert folded() == before
    assert ProjectionCut.objects.count() == 1
