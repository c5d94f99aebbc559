"""Statements with their running balance, page by page, and the trial balance."""

import pytest

from ledger import queries
from ledger import services as ledger
from ledger.services import Entry

ALICE, BOB = "coop:1:member:1", "coop:1:member:2"


@pytest.fixture
def movements(give):
    """100 issued, then seven movements of Alice mixed with those of others."""
    give(ALICE, 100)
    give(ALICE, 9, "EUR")
    for n, amount in enumerate([-10, 5, -20, -1, 2, -30, 40]):
        payer, payee = (ALICE, BOB) if amount < 0 else ("coop:1:issuance", ALICE)
        ledger.transfer(key=f"m{n}", kind="MOVE", entries=[Entry(payer, -abs(amount)), Entry(payee, abs(amount))])
        ledger.transfer(key=f"x{n}", kind="MOVE", entries=[Entry("coop:1:issuance", -7), Entry(BOB, 7)])


BALANCES = [86, 46, 76, 74, 75, 95, 90, 100]


def test_the_statement_runs_from_newest_to_oldest(movements):
    lines = queries.statement(ALICE)

    assert [line.balance_micro for line in lines] == BALANCES
    assert [line.amount_micro for line in lines] == [40, -30, 2, -1, -20, 5, -10, 100]
    assert [line.key for line in lines[:2]] == ["m6", "m5"]
    assert lines[0].balance_micro == queries.balance(ALICE)
    assert [line.balance_micro for line in queries.statement(ALICE, asset="EUR")] == [9]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("is_projected", [False, True])
def test_pages_join_without_gap_overlap_or_jump_of_the_balance(movements, limit, is_projected):
    if is_projected:
        ledger.rebuild_balances()
    pages, before_id = [], None
    while page := queries.statement(ALICE, before_id=before_id, limit=limit):
        pages += page
        before_id = page[-1].id

    assert pages == queries.statement(ALICE)
    assert [line.balance_micro for line in pages] == BALANCES


def test_two_postings_of_one_transfer_on_one_account_are_two_lines(give):
    give(ALICE, 100)
    ledger.transfer(key="bill", kind="MOVE", entries=[Entry(ALICE, -10), Entry(BOB, 6), Entry(BOB, 4)])

    assert [(line.amount_micro, line.balance_micro) for line in queries.statement(BOB)] == [(4, 10), (6, 6)]


def test_an_address_without_postings_has_an_empty_statement(db):
    assert queries.statement(ALICE) == []


def test_the_trial_balance_lists_what_is_not_empty_and_sums_to_zero(movements):
    lines = queries.trial_balance()

    assert [(line.address, line.asset, line.balance_micro) for line in lines] == [
        ("coop:1:issuance", "CREDIT", -196),
        ("coop:1:issuance", "EUR", -9),
        (ALICE, "CREDIT", 86),
        (ALICE, "EUR", 9),
        (BOB, "CREDIT", 110),
    ]
