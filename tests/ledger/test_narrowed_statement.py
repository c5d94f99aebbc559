"""Statements by month and kind: the same balances as in the whole one, along indexes at 100,000 postings."""

import datetime
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger import queries

ROWS = 100_000
BUSY, CALM = "coop:1:member:1", "coop:1:member:2"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FILL = """
INSERT INTO ledger_ledgeraccount (id, address, asset, may_be_negative)
VALUES (1, 'coop:1:issuance', 'CREDIT', true), (2, 'coop:1:member:1', 'CREDIT', false),
       (3, 'coop:1:member:2', 'CREDIT', false);
INSERT INTO ledger_transfer (id, idempotency_key, kind, reason, fingerprint, made_at)
SELECT n, 'fill:' || n, CASE WHEN n %% 1000 = 0 THEN 'ISSUE' ELSE 'settlement' END, '', 'sha256:' || n,
       %(start)s::timestamptz + n * interval '5 minutes' FROM generate_series(1, %(rows)s) AS n;
INSERT INTO ledger_posting (id, transfer_id, account_id, amount_micro)
SELECT 2 * n - side, n, CASE WHEN side = 1 THEN 1 WHEN n %% 100 = 0 THEN 3 ELSE 2 END,
       CASE WHEN side = 1 THEN -n ELSE n END
  FROM generate_series(1, %(rows)s) AS n, generate_series(0, 1) AS side;
SELECT setval('ledger_transfer_id_seq', %(rows)s), setval('ledger_posting_id_seq', 2 * %(rows)s);
"""
"""A transfer every five minutes for most of a year, one of a hundred for the calm member; whole by construction."""


@pytest.fixture
def books(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(FILL, {"rows": ROWS, "start": START})
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        cursor.execute("ANALYZE ledger_transfer, ledger_posting, ledger_ledgeraccount")


def month(number):
    """From when to when a month of that year is."""
    first = START.replace(month=number)
    return first, (first + datetime.timedelta(days=32)).replace(day=1)


def plan(ask):
    """Every part of the plan of the one statement that `ask` sends, with what it did."""
    with CaptureQueriesContext(connection) as sent:
        found = ask()
    [query] = sent
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {query['sql']}")
        document = cursor.fetchone()[0]
    waiting, parts = [(json.loads(document) if isinstance(document, str) else document)[0]["Plan"]], []
    while waiting:
        parts.append(waiting.pop())
        waiting += parts[-1].get("Plans", [])
    return found, parts


def read(parts):
    """How many rows the plan took from tables; the balance left out, since no projection holds what one test wrote."""
    return sum(
        (part["Actual Rows"] + part.get("Rows Removed by Filter", 0)) * part["Actual Loops"]
        for part in parts
        if "Relation Name" in part and part.get("Index Name") != "posting_by_transaction"
    )


def test_lines_of_a_month_and_of_a_kind_are_those_of_the_whole_and_found_along_indexes(books):
    """One test, since filling the tables is what takes the time."""
    whole = queries.statement(CALM, limit=ROWS)
    for number in (1, 6, 11):
        since, until = period = month(number)
        lines, parts = plan(lambda period=period: queries.statement(CALM, period=period, limit=ROWS))
        assert lines == [line for line in whole if since <= line.made_at < until]
        assert len(lines) > 60
        whole_tables = {part["Relation Name"] for part in parts if part["Node Type"] == "Seq Scan"}
        assert not whole_tables & {"ledger_posting", "ledger_transfer"}
    assert queries.statement(CALM, kinds=["ISSUE"], limit=ROWS) == [line for line in whole if line.kind == "ISSUE"]

    page, parts = plan(lambda: queries.statement(BUSY, period=month(11), limit=51))
    assert len(page) == 51
    assert read(parts) < ROWS // 2, "a month is read along the account's postings, not the whole account"
    assert "posting_of_account" in {part.get("Index Name") for part in parts}
    assert "transfer_by_time" in {part.get("Index Name") for part in parts}


def test_pages_of_a_choice_join_without_gap_or_jump(books):
    wanted = {"period": month(3), "kinds": ["settlement"]}
    pages, before_id = [], None
    while page := queries.statement(CALM, before_id=before_id, limit=31, **wanted):
        pages += page
        before_id = page[-1].id

    assert pages == queries.statement(CALM, limit=ROWS, **wanted)
    assert len(pages) > 70


def test_a_period_without_lines_is_empty(books):
    assert queries.statement(CALM, period=(START.replace(year=2020), START.replace(year=2021))) == []
    assert queries.statement(CALM, period=(START.replace(year=2031), START.replace(year=2032))) == []
    assert queries.first_at(CALM) == START + datetime.timedelta(minutes=500)
    assert queries.first_at("coop:1:member:3") is None
