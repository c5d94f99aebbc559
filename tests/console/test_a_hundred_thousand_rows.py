"""A list costs the same with 100,000 rows: a fixed number of queries, no count, and an index for every page.

The rows are filled in by the database in one statement each, past the triggers that keep history append-only.
"""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.admin import console as site
from reputation.models import Dimension

pytestmark = pytest.mark.django_db
ROWS = 100_000
FILL = {
    "accounts_user": """
        INSERT INTO accounts_user (password, is_superuser, first_name, last_name, is_staff, is_active, date_joined,
                                   email, display_name)
        SELECT '', false, '', '', false, true, now(), 'm' || n || '@example.net', 'Member ' || n
          FROM generate_series(1, %(rows)s) AS n""",
    "accounts_membership": """
        INSERT INTO accounts_membership (cooperative_id, user_id, roles, joined_at)
        SELECT %(cooperative)s, id, ARRAY['MEMBER'], now() FROM accounts_user WHERE email LIKE '%%@example.net'""",
    "accounts_invitation": """
        INSERT INTO accounts_invitation (cooperative_id, roles, email, token_digest, invited_by_id, expires_at)
        SELECT %(cooperative)s, ARRAY['MEMBER'], '', 'sha256:' || n, %(by)s, now()
          FROM generate_series(1, %(rows)s) AS n""",
    "accounts_creditissue": """
        INSERT INTO accounts_creditissue (cooperative_id, to_address, amount_micro, reason, state, needs_second_steward,
                                          proposed_by_id, decided_by_id, decided_at)
        SELECT %(cooperative)s, 'coop:1:treasury', n, 'r', 'ISSUED', false, %(by)s, %(by)s, now()
          FROM generate_series(1, %(rows)s) AS n""",
    "accounts_stewardact": """
        INSERT INTO accounts_stewardact (cooperative_id, by_id, act, subject_kind, subject_id, subject, reason, before,
                                         after, request_id)
        SELECT %(cooperative)s, %(by)s, (ARRAY['INVITE', 'SET_ROLES'])[1 + n %% 2], 'membership', n, 's', '', '{}',
               '{"n": 1}', '' FROM generate_series(1, %(rows)s) AS n""",
    "nodes_node": """
        INSERT INTO nodes_node (cooperative_id, operator_id, name, public_key, state, state_reason, tier, zone,
                                is_validator, validated_in_a_row, floor_price_micro, sellable_lots, memory_mib,
                                disk_mib, runners, isolation, agent_version, reported_slots_free,
                                reported_load_permille)
        SELECT %(cooperative)s, %(by)s, 'node ' || n, 'key ' || n, 'JOINED', '', 'EDGE', '', false, 0, 1, 0, 0, 0,
               '[]', '[]', '', 0, 0 FROM generate_series(1, %(rows)s) AS n""",
    "reputation_evidence": """
        INSERT INTO reputation_evidence (node_id, dimension, success, weight_milli, reason, reference, at)
        SELECT (SELECT min(id) FROM nodes_node), %(dimension)s, true, 1000, 'agreed', 'test:' || n, now()
          FROM generate_series(1, %(rows)s) AS n""",
    "scheduler_job": """
        INSERT INTO scheduler_job (cooperative_id, submitter_id, name, runner, spec, assurance, executions,
                                   limit_price_micro, max_seconds, royalty_micro, policy_number, tasks_total,
                                   held_micro, state, reason,
                                   finished_at, closed_at)
        SELECT %(cooperative)s, %(by)s, 'job ' || n, 'python', '{}', 'none', 1, 1, 1, 0, 1, 1, 0, 'DONE', '',
               now(), now() FROM generate_series(1, %(rows)s) AS n""",
}
"""Tables in the order in which they need each other."""


@pytest.fixture
def full(cooperative, bob, sam):
    """A cooperative with 100,000 rows in every table that grows."""
    values = {"rows": ROWS, "cooperative": cooperative.pk, "by": bob.pk, "dimension": Dimension.CORRECTNESS.value}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # whole by construction: no triggers
        for statement in FILL.values():
            cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        for table in FILL:
            cursor.execute(f"ANALYZE {table}")


def plans(sql):
    """The plan of a statement and all the parts of it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        found = cursor.fetchone()[0]
    waiting = [json.loads(found)[0]["Plan"] if isinstance(found, str) else found[0]["Plan"]]
    while waiting:
        part = waiting.pop()
        waiting += part.get("Plans", [])
        yield part


LISTS = {
    "membership": ["", "?p={middle}", "?q=m500", "?left=no"],
    "invitation": ["", "?p={middle}"],
    "creditissue": ["", "?p={middle}"],
    "stewardact": ["", "?p={middle}", "?act=INVITE", "?q=bob@example.org"],
    "node": ["", "?p={middle}"],
    "evidence": ["", "?p={middle}"],
    "job": ["", "?p={middle}", "?q=77", "?q=bob@example.org"],
}
QUERIES = 12
"""Gate, frame and the page's own rows; the same for every list and every page of it."""


def test_lists_queue_and_ledger_walk_along_indexes_and_count_nothing(console, cooperative, full):
    """One test, since filling the tables is what takes the time."""
    sections = {section.opts.model_name: section for section in site._registry.values()}
    for name, queries in LISTS.items():
        section = sections[name]
        table = section.opts.db_table
        middle = section.model.objects.order_by("pk").values_list("pk", flat=True)[ROWS // 2]
        console.get(section.address("changelist"))
        for query in queries:
            address = section.address("changelist") + query.format(middle=middle)
            (rows,) = [sql for sql in sent_for(console, address, QUERIES) if f'FROM "{table}"' in sql and "51" in sql]
            scans = [part for part in plans(rows) if part.get("Relation Name") == table]
            assert "Seq Scan" not in {part["Node Type"] for part in scans}, (address, scans)

    console.get("/console/")
    sent_for(console, "/console/", 19)

    with connection.cursor() as cursor:
        cursor.execute(ACCOUNTS, [cooperative.pk])
        cursor.execute("ANALYZE ledger_ledgeraccount")
    sql = UNDER.format(first=f"coop:{cooperative.pk}:", last=f"coop:{cooperative.pk};")
    scans = [part for part in plans(sql) if part.get("Relation Name") == "ledger_ledgeraccount"]
    assert [part.get("Index Name") for part in scans] == ["ledgeraccount_by_address"]


def sent_for(client, address, most):
    """The statements behind a page: at most so many, and none that counts."""
    with CaptureQueriesContext(connection) as caught:
        assert client.get(address).status_code == 200
    statements = [found["sql"] for found in caught]
    assert len(statements) <= most, (address, len(statements))
    assert not [sql for sql in statements if "COUNT(" in sql.upper()], address
    return statements


ACCOUNTS = """
INSERT INTO ledger_ledgeraccount (address, asset, may_be_negative)
SELECT 'coop:' || %s || ':member:' || n, 'CREDIT', false FROM generate_series(1000000, 1100000) AS n"""
UNDER = """
SELECT address FROM ledger_balance WHERE address COLLATE "C" > '{first}' AND address COLLATE "C" < '{last}'
 ORDER BY address COLLATE "C" LIMIT 51"""
