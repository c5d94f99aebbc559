"""The books in the console: they sum to zero, drill down to postings, and end at the cooperative's border."""

import csv
import io

import pytest

from ledger import queries as ledger
from ledger import services
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


def test_the_trial_balance_sums_to_zero_before_and_after_the_projector(grid, charlie, cooperative, now):
    scenes.credit(charlie, charlie, 7, now)
    before = ledger.totals(cooperative.pk)
    amounts = {row.kind: row.balance_micro for row in before}

    assert sum(amounts.values()) == 0
    assert amounts["others"] == 0  # the other cooperative's debt and its member's credit
    assert amounts["issuance"] == -100_000_000
    assert (
        amounts["wallets"] + amounts["holds"] + amounts["treasury"] + amounts["reserve"] + amounts["assurance"]
        == 100_000_000
    )

    services.project_balances()
    assert ledger.totals(cooperative.pk) == before


def test_accounts_of_the_cooperative_come_by_address_a_page_at_a_time(grid, charlie, cooperative, now):
    scenes.credit(charlie, charlie, 7, now)
    own = f"coop:{cooperative.pk}:"
    whole = ledger.accounts_under(own, limit=1000)
    everything = {row.address: row.balance_micro for row in ledger.trial_balance()}

    assert [row.address for row in whole] == sorted(row.address for row in whole)
    assert {row.address: row.balance_micro for row in whole if row.balance_micro} == {
        address: balance for address, balance in everything.items() if address.startswith(own)
    }
    paged, after = [], ""
    while page := ledger.accounts_under(own, after=after, limit=2):
        paged += page
        after = page[-1].address
    assert paged == whole


def test_a_cooperative_whose_number_begins_alike_is_another_one(cooperative):
    services.transfer(
        key="test:alike",
        kind="TEST",
        entries=[
            services.Entry(f"coop:{cooperative.pk}5:issuance", -5),
            services.Entry(f"coop:{cooperative.pk}5:treasury", 5),
        ],
    )

    assert ledger.accounts_under(f"coop:{cooperative.pk}:") == []
    assert {row.kind: row.balance_micro for row in ledger.totals(cooperative.pk)}["others"] == 0


def test_from_the_trial_balance_to_a_posting(console, grid, alice):
    books = console.get("/console/ledger/").text.replace("%3A", ":")
    assert f"/console/ledger/account/?address={alice.wallet}" in books

    statement = console.get("/console/ledger/account/", {"address": alice.wallet})
    assert f"job:{grid.job.pk}:hold" in statement.text.replace("%3A", ":")

    transfer = console.get("/console/ledger/transfer/", {"key": f"job:{grid.job.pk}:hold"})
    assert alice.wallet in transfer.text
    assert f"hold:job:{grid.job.pk}" in transfer.text


def test_the_export_is_the_whole_statement(console, grid, alice):
    answer = console.get("/console/ledger/account.csv", {"address": alice.wallet})
    lines = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [line["key"] for line in lines] == [line.key for line in ledger.statement(alice.wallet)]
    assert lines[-1]["balance"] == "100.000000"


def test_accounts_and_transfers_of_others_are_not_found(console_of, console, grid, alice, charlie, now):
    scenes.credit(charlie, charlie, 7, now)
    outsider = console_of(charlie)
    for address in (alice.wallet, f"hold:job:{grid.job.pk}", "coop:1", "", "coop:1:treasury' OR 1=1"):
        assert outsider.get("/console/ledger/account/", {"address": address}).status_code == 404
        assert outsider.get("/console/ledger/account.csv", {"address": address}).status_code == 404
    assert outsider.get("/console/ledger/transfer/", {"key": f"job:{grid.job.pk}:hold"}).status_code == 404
    assert console.get("/console/ledger/account/", {"address": f"hold:job:{grid.job.pk}"}).status_code == 200
    for address in ("hold:order:999999", "hold:lease:999999", "hold:task:999999", charlie.wallet):
        assert console.get("/console/ledger/account/", {"address": address}).status_code == 404


def test_nothing_in_the_ledger_pages_can_be_posted(console, grid):
    for address in ("/console/ledger/", "/console/ledger/account/", "/console/ledger/transfer/", "/console/"):
        assert console.post(address, {"amount_micro": 1}).status_code == 405
