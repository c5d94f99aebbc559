"""Undoing a transfer by its mirror, once."""

import pytest

from ledger import queries
from ledger import services as ledger
from ledger.services import Entry

ALICE, BOB = "coop:1:member:1", "coop:1:member:2"


@pytest.fixture
def payment(give):
    give(ALICE, 100)
    return ledger.transfer(key="pay", kind="PAYMENT", entries=[Entry(ALICE, -30), Entry(BOB, 30)])


def reverse(key="undo", original="pay"):
    return ledger.reverse(key_of_original=original, key=key, reason="paid twice")


def test_a_reversal_restores_every_balance(payment, close_books):
    reverse()

    close_books()
    assert queries.balances([ALICE, BOB]) == {ALICE: 100, BOB: 0}
    assert queries.postings_of("undo") == [Entry(ALICE, 30), Entry(BOB, -30)]
    assert queries.find_differences() == []


def test_the_same_reversal_again_is_the_same(payment):
    assert reverse() == reverse()

    assert queries.balance(ALICE) == 100


def test_a_transfer_is_reversed_once(payment):
    reverse()
    ledger.transfer(key="pay again", kind="PAYMENT", entries=[Entry(ALICE, -30), Entry(BOB, 30)])

    with pytest.raises(ledger.AlreadyReversed):
        reverse(key="undo more")

    assert queries.balances([ALICE, BOB]) == {ALICE: 70, BOB: 30}


def test_what_was_spent_cannot_be_taken_back(payment):
    ledger.transfer(key="spend", kind="PAYMENT", entries=[Entry(BOB, -1), Entry("coop:1:treasury", 1)])

    with pytest.raises(ledger.InsufficientFunds) as no:
        reverse()

    assert (no.value.available_micro, no.value.needed_micro) == (29, 30)


def test_an_unknown_transfer_cannot_be_reversed(payment):
    with pytest.raises(ledger.UnknownTransfer):
        reverse(original="never made")


def test_a_key_of_another_act_cannot_name_a_reversal(payment):
    with pytest.raises(ledger.KeyReused):
        reverse(key="issue coop:1:member:1 100 CREDIT")

    assert queries.balance(BOB) == 30
