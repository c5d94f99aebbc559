"""Setting credits aside, paying from them, giving the rest back."""

import pytest

from ledger import queries
from ledger import services as ledger
from ledger.core import postings
from ledger.services import Entry

ALICE, BOB, HOLD = "coop:1:member:1", "coop:1:member:2", "hold:job:1"


def hold(amount=60, key="hold"):
    return ledger.hold(payer=ALICE, hold_address=HOLD, amount_micro=amount, key=key, reason="job 1")


def release(key="release", payer=ALICE):
    return ledger.release(hold_address=HOLD, payer=payer, key=key, reason="job 1 is over")


def test_a_hold_takes_credits_out_of_reach(give, close_books):
    give(ALICE, 100)

    hold()

    close_books()
    assert queries.balances([ALICE, HOLD]) == {ALICE: 40, HOLD: 60}
    with pytest.raises(ledger.InsufficientFunds):
        hold(41, key="another")


def test_a_hold_beyond_the_funds_says_what_there_is(give):
    give(ALICE, 100)

    with pytest.raises(ledger.InsufficientFunds) as no:
        hold(101)

    assert (no.value.available_micro, no.value.needed_micro) == (100, 101)
    assert queries.balance(HOLD) == 0


def test_the_same_hold_again_holds_once(give):
    give(ALICE, 100)

    assert hold() == hold()

    assert queries.balance(HOLD) == 60


@pytest.mark.parametrize("amount", [0, -5])
def test_a_hold_of_nothing_or_less_is_refused(give, amount):
    give(ALICE, 100)
    hold()

    with pytest.raises(postings.BadTransfer, match="only more than 0"):
        hold(amount, key="another")

    assert queries.balances([ALICE, HOLD]) == {ALICE: 40, HOLD: 60}


def test_release_gives_back_what_was_not_spent(give, close_books):
    give(ALICE, 100)
    hold()
    ledger.transfer(key="settle", kind="SETTLEMENT", entries=[Entry(HOLD, -25), Entry(BOB, 25)])

    assert release() == 35

    close_books()
    assert queries.balances([ALICE, BOB, HOLD]) == {ALICE: 75, BOB: 25, HOLD: 0}


def test_the_same_release_again_moves_nothing_and_says_the_same(give):
    give(ALICE, 100)
    hold()
    release()
    hold(5, key="a later hold at the same address")

    assert release() == 60

    assert queries.balances([ALICE, HOLD]) == {ALICE: 95, HOLD: 5}


def test_an_empty_hold_releases_nothing(give):
    give(ALICE, 100)

    assert release() == 0

    assert queries.postings_of("release") == []


def test_a_release_key_belongs_to_one_payer(give):
    give(ALICE, 100)
    hold()
    release()

    with pytest.raises(ledger.KeyReused):
        release(payer=BOB)
    with pytest.raises(ledger.KeyReused):
        release(key="hold")

    assert queries.balance(ALICE) == 100


def test_a_hold_cannot_be_overspent(give):
    give(ALICE, 100)
    hold()

    with pytest.raises(ledger.InsufficientFunds):
        ledger.transfer(key="settle", kind="SETTLEMENT", entries=[Entry(HOLD, -61), Entry(BOB, 61)])

    assert queries.balances([HOLD, BOB]) == {HOLD: 60, BOB: 0}
