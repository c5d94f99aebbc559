"""The wallet in the browser: its statement by month and kind, and what each line was for."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from accounts import services as accounts
from dashboard.queries import money
from ledger import queries as ledger
from ledger import services as transfers
from scheduler.models import Job
from tests.dashboard import scenes

WALLET = "/wallet/"


def rows(page):
    """The lines of the statement that a page shows, tags taken out."""
    [body] = re.findall(r'class="dense statement">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    seen = re.sub(r'<span class="below.*?</span>', "", body, flags=re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in seen.split("</tr>")[:-1]]


def made_at(key, moment):
    """Let a transfer have been made then, past the triggers that keep history as it was."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE ledger_transfer SET made_at = %s WHERE idempotency_key = %s", [moment, key])
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


@pytest.fixture
def year(alice, bob, now):
    """A line of Alice's for each of the last six months and twelve more of this one; months from the latest."""
    months, moment = [], now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(6):
        months.append(moment)
        moment = (moment - timedelta(days=1)).replace(day=1)
    for number, month in enumerate(reversed(months)):
        scenes.credit(bob, alice, 10 + number, now)
        made_at(ledger.statement(alice.wallet, limit=1)[0].key, month)
    for number in range(12):
        transfers.hold(
            payer=alice.wallet,
            hold_address=f"hold:job:{900 + number}",
            amount_micro=1_000_000,
            key=f"job:{900 + number}:hold",
        )
    return [f"{month:%Y-%m}" for month in months]


def test_the_statement_by_month_has_the_lines_of_that_month_and_their_balances(client_of, alice, year):
    hers = client_of(alice)

    for number, month in enumerate(reversed(year)):
        page = hers.get(WALLET, {"month": month}).text
        found = rows(page)
        sum_ = sum(10 + each for each in range(number + 1))
        assert f"+ {10 + number}.00 0000 {sum_}.00 0000" in found[-1]
        assert len(found) == (13 if number == 5 else 1)
        assert f'<option value="{month}" selected>' in page


def test_the_statement_by_kind_and_month_together(client_of, alice, year):
    hers = client_of(alice)

    assert len(rows(hers.get(WALLET, {"kind": "issue"}).text)) == 6
    assert len(rows(hers.get(WALLET, {"kind": "hold"}).text)) == 12
    assert len(rows(hers.get(WALLET, {"kind": "hold", "month": year[0]}).text)) == 12
    assert [line.split("+ ")[1] for line in rows(hers.get(WALLET, {"kind": "issue", "month": year[0]}).text)] == [
        "15.00 0000 75.00 0000"
    ]
    nothing = hers.get(WALLET, {"kind": "hold", "month": year[1]}).text
    assert "Nothing of this kind happened then." in nothing
    assert "Show everything" in nothing


def test_the_choice_is_kept_over_the_pages_and_by_the_file(client_of, alice, year, monkeypatch):
    monkeypatch.setattr(money, "PAGE_ROWS", 5)
    hers, address, found = client_of(alice), f"{WALLET}?month={year[0]}&kind=hold", []

    for _ in range(3):
        page = hers.get(address).text
        found += rows(page)
        more = re.findall(r'rel="next" href="(\?[^"]+)"', page)
        address = WALLET + more[0].replace("&amp;", "&") if more else None
    [file] = set(re.findall(r'href="([^"]*statement\.csv[^"]*)"', page))
    lines = list(csv.DictReader(io.StringIO(hers.get(file.replace("&amp;", "&")).getvalue().decode())))

    assert (len(found), len(set(found)), address) == (12, 12, None)
    assert [line["key"] for line in lines] == [f"job:{900 + number}:hold" for number in reversed(range(12))]
    assert {line["kind"] for line in lines} == {"HOLD"}


@pytest.mark.parametrize(
    "query", ["month=2026-13", "month=26-01", "month=2026-1", "kind=theft", "month='", "kind=HOLD"]
)
def test_a_month_or_kind_that_is_none_is_not_found(client_of, alice, query):
    assert client_of(alice).get(f"{WALLET}?{query}").status_code == 404
    assert client_of(alice).get(f"{reverse('statement-csv')}?{query}").status_code == 404


def test_each_line_leads_to_what_it_was_for(client_of, grid, alice, olga, bob):
    hold = client_of(alice).get(WALLET).text
    earned = client_of(olga).get(WALLET).text
    royalty = client_of(bob).get(WALLET).text
    issue = alice.cooperative.credit_issues.get()

    assert f'<a href="{reverse("job", args=[grid.job.pk])}">Job {grid.job.pk}</a>' in hold
    assert f'<a href="{reverse("cooperative")}#issue-{issue.pk}">Issue {issue.pk}</a>' in hold
    assert f'<a href="{reverse("node", args=[grid.shed.pk])}">Node shed</a>' in earned
    assert f'href="{reverse("job", args=[grid.job.pk])}"' not in earned, "she may not see whose job it is"
    assert f'<a href="{reverse("model-version", args=[grid.version.pk])}">Model {grid.version}</a>' in royalty
    assert f'href="{reverse("job", args=[grid.job.pk])}"' in royalty, "a steward sees all jobs"


def test_credits_between_members_name_the_other(client_of, alice, olga, bob, now):
    scenes.credit(bob, alice, 5, now)
    accounts.send_credits(by=alice, to=olga, amount_micro=2_000_000, reason="for the heating", key="once")

    sent, got = client_of(alice).get(WALLET).text, client_of(olga).get(WALLET).text

    assert f'<a href="{reverse("cooperative")}#member-{olga.pk}">to Olga</a>' in sent
    assert f'<a href="{reverse("cooperative")}#member-{alice.pk}">from Alice</a>' in got
    people = client_of(alice).get(reverse("cooperative")).text
    assert f'id="member-{olga.pk}"' in people
    assert f'id="issue-{alice.cooperative.credit_issues.get().pk}"' in people


def test_a_filtered_statement_takes_as_many_queries_however_many_lines_there_are(
    client_of, grid, bob, olga, now, django_assert_num_queries
):
    hers = client_of(olga)
    address = f"{WALLET}?month={now:%Y-%m}&kind=settlement"
    hers.get(address)
    with django_assert_num_queries(FILTERED):
        hers.get(address)
    job = Job.objects.get(pk=grid.job.pk)
    for task in job.tasks.order_by("index")[2:4]:
        attempt = scenes.an_attempt(task, grid.shed, grid.leases[0], now, state="SUBMITTED", labels=[1])
        scenes.accept(task, [attempt], [], now)

    with django_assert_num_queries(FILTERED):
        assert len(rows(hers.get(address).text)) == 3


FILTERED = 17
"""Frame and figures as on the whole page; the lines, their tasks and nodes, and when the first credits came."""
