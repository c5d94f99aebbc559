"""One transfer, many transfers, and the same again."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common import errors
from ledger import queries
from ledger import services as ledger
from ledger.core import postings
from ledger.services import Entry, NewTransfer

ALICE, BOB = "coop:1:member:1", "coop:1:member:2"


def pay(key="pay", amount=30, payer=ALICE, payee=BOB, **more):
    return ledger.transfer(key=key, kind="PAYMENT", entries=[Entry(payer, -amount), Entry(payee, amount)], **more)


def test_a_transfer_moves_credits_and_keeps_what_was_said(give, close_books):
    give(ALICE, 100)

    pay(reason="for the bread")

    close_books()
    assert queries.balances([ALICE, BOB, "coop:1:issuance"]) == {ALICE: 70, BOB: 30, "coop:1:issuance": -100}
    assert queries.postings_of("pay") == [Entry(ALICE, -30), Entry(BOB, 30)]
    assert queries.statement(BOB)[0].reason == "for the bread"


def test_the_same_again_is_the_same_transfer(give):
    give(ALICE, 100)

    first = pay()
    again = ledger.transfer(key="pay", kind="PAYMENT", entries=[Entry(BOB, 30), Entry(ALICE, -30)])

    assert again == first
    assert queries.balance(ALICE) == 70


def test_a_repeated_transfer_needs_no_funds(give):
    give(ALICE, 30)
    first = pay()

    assert pay() == first
    assert queries.balance(ALICE) == 0


@pytest.mark.parametrize(
    "change", [{"amount": 31}, {"payee": "coop:1:member:3"}, {"payer": "coop:1:treasury"}, {"reason": "another"}]
)
def test_another_content_under_the_same_key_is_refused(give, change):
    give(ALICE, 100)
    give("coop:1:treasury", 100)
    pay()

    with pytest.raises(ledger.KeyReused) as refusal:
        pay(**change)

    assert (refusal.value.status, refusal.value.code) == (409, "key_reused")
    assert queries.balance(BOB) == 30


def test_nobody_spends_what_is_not_there(give):
    give(ALICE, 29)

    with pytest.raises(
        ledger.InsufficientFunds, match=r"found 0.000029 credits available .* 0.000030 are needed"
    ) as no:
        pay()

    assert no.value.status == 402
    assert (no.value.available_micro, no.value.needed_micro) == (29, 30)
    assert no.value.extra == {"address": ALICE, "asset": "CREDIT", "available_micro": 29, "needed_micro": 30}
    assert queries.balances([ALICE, BOB]) == {ALICE: 29, BOB: 0}


def test_issuance_and_assurance_alone_may_owe(db, close_books):
    pay(key="a", payer="coop:1:issuance")
    pay(key="b", payer="coop:1:assurance")
    for n, place in enumerate(["coop:1:treasury", "coop:1:reserve", "hold:job:1"]):
        with pytest.raises(ledger.InsufficientFunds):
            pay(key=f"c{n}", payer=place)

    close_books()
    assert queries.balance("coop:1:assurance") == -30


def test_assets_have_funds_of_their_own(give):
    give(ALICE, 100, "EUR")

    with pytest.raises(ledger.InsufficientFunds):
        pay()

    assert queries.balance(ALICE, "EUR") == 100
    assert queries.balance(ALICE) == 0


def test_an_exchange_balances_each_asset(give, close_books):
    give(ALICE, 100)
    give(BOB, 7, "EUR")

    ledger.transfer(
        key="swap",
        kind="EXCHANGE",
        entries=[Entry(ALICE, -100), Entry(BOB, 100), Entry(BOB, -7, "EUR"), Entry(ALICE, 7, "EUR")],
    )

    close_books()
    assert queries.balances([ALICE, BOB], "EUR") == {ALICE: 7, BOB: 0}


def test_what_does_not_balance_is_not_written(db):
    with pytest.raises(postings.Unbalanced):
        ledger.transfer(key="k", kind="X", entries=[Entry("coop:1:issuance", -2), Entry(ALICE, 1)])

    assert queries.postings_of("k") == []


def test_many_transfers_come_back_in_the_order_asked(give, close_books):
    give(ALICE, 100)
    one, two = (NewTransfer(key, "PAYMENT", (Entry(ALICE, -1), Entry(BOB, 1))) for key in ("one", "two"))
    first = ledger.transfer_many(transfers=[two])

    ids = ledger.transfer_many(transfers=[one, two, one])

    close_books()
    assert ids[1] == first[0]
    assert ids[0] == ids[2] != ids[1]
    assert queries.balance(BOB) == 2


def test_many_transfers_are_made_whole_or_not_at_all(give):
    give(ALICE, 100)
    bills = [NewTransfer(f"bill {n}", "PAYMENT", (Entry(ALICE, -30), Entry(BOB, 30))) for n in range(4)]

    with pytest.raises(ledger.InsufficientFunds) as no:
        ledger.transfer_many(transfers=bills)

    assert (no.value.available_micro, no.value.needed_micro) == (100, 120)
    assert queries.balance(BOB) == 0


def test_two_contents_under_one_key_in_a_batch_are_refused(give):
    give(ALICE, 100)
    batch = [NewTransfer("k", "PAYMENT", (Entry(ALICE, -n), Entry(BOB, n))) for n in (1, 2)]

    with pytest.raises(ledger.KeyReused):
        ledger.transfer_many(transfers=batch)

    assert queries.balance(BOB) == 0


def test_no_transfers_are_no_work(db):
    assert ledger.transfer_many(transfers=[]) == []


def test_a_hundred_settlements_take_few_statements(give, close_books):
    give(ALICE, 10_000)
    ledger.hold(payer=ALICE, hold_address="hold:job:1", amount_micro=10_000, key="hold")
    bills = [
        NewTransfer(
            f"settle {n}",
            "SETTLEMENT",
            (Entry("hold:job:1", -100), Entry(BOB, 85), Entry("coop:1:treasury", 8), Entry("coop:1:reserve", 7)),
        )
        for n in range(100)
    ]

    with CaptureQueriesContext(
        connection,
    ) as sql:
        ids = ledger.transfer_many(transfers=bills)

    close_books()
    assert len(set(ids)) == 100
    assert queries.balances(["hold:job:1", BOB, "coop:1:treasury"]) == {
        "hold:job:1": 0,
        BOB: 8500,
        "coop:1:treasury": 800,
    }
    # savepoint 2, lock 1, keys 1, funds 1, accounts 1, missing accounts 1 + 1, transfers 1, postings 1
    # (opening accounts adds a savepoint of 2)
    assert len(sql) <= 12


def test_accounts_must_have_an_address(db):
    with pytest.raises(errors.Invalid, match="accepted are coop"):
        pay(payee="alice")
    with pytest.raises(errors.Invalid):
        queries.balance("alice")
