"""/metrics: figures that are true, for those alone who may read them, and a dashboard that names what exists."""

import json
import re

import pytest
from django.conf import settings as configured
from django.test import Client

from config import metrics
from tests.dashboard import scenes

DASHBOARD = configured.BASE_DIR / "docs" / "grafana" / "commongrid.json"


def read(**headers):
    return Client().get("/metrics", headers=headers)


def value(text, line):
    """The figure of the series that begins so, 0 when there is none yet."""
    [found] = re.findall(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE) or ["0"]
    return float(found)


def test_requests_are_counted_by_route_and_status(db):
    series = 'commongrid_requests_total{method="GET",route="docs/<slug:name>",status="404"}'
    before = value(read().content.decode(), series)

    Client().get("/docs/no-such-page")

    after = read().content.decode()
    assert value(after, series) == before + 1
    assert "no-such-page" not in after


def test_what_stands_in_the_database_is_told(alice, olga, bob, now, settings, tmp_path):
    settings.BLOB_DIR = tmp_path
    scenes.credit(bob, alice, 100, now)
    scenes.a_node(olga, now)
    scenes.a_job(alice, now, tasks=3, executions=1)
    scenes.an_order(alice, side="BUY", price_micro=1, lots=1, state="ACCEPTED")

    text = read().content.decode()

    assert value(text, "commongrid_tasks_waiting") == 3
    assert value(text, "commongrid_orders_unmatched") == 1
    assert value(text, "commongrid_orders_open") == 1
    assert value(text, 'commongrid_nodes{state="PROBATION"}') == 1
    assert value(text, 'commongrid_jobs{state="RUNNING"}') == 1
    assert value(text, "commongrid_payout_freezes") == 0


def test_a_queue_is_never_counted_beyond_its_bound(alice, monkeypatch, django_assert_num_queries):
    for _ in range(4):
        scenes.an_order(alice, side="BUY", price_micro=1, lots=1)
    monkeypatch.setattr(metrics, "MOST", 3)

    with django_assert_num_queries(len(metrics._QUEUES) + len(metrics._BY_STATE) + 2):
        text = read().content.decode()

    assert value(text, "commongrid_orders_open") == 3


@pytest.mark.parametrize(
    ("token", "address", "headers", "status"),
    [
        ("", "127.0.0.1", {}, 200),
        ("", "::1", {}, 200),
        ("", "192.0.2.7", {}, 403),
        ("", "", {}, 403),
        ("", "127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, 403),
        ("secret", "127.0.0.1", {}, 403),
        ("secret", "192.0.2.7", {"Authorization": "Bearer wrong"}, 403),
        ("secret", "192.0.2.7", {"Authorization": "Bearer secret"}, 200),
    ],
)
def test_only_who_may_reads_them(db, settings, token, address, headers, status):
    settings.METRICS_TOKEN = token

    assert Client(REMOTE_ADDR=address).get("/metrics", headers=headers).status_code == status


def test_every_figure_of_the_dashboard_exists(db, cooperative):
    Client().get("/docs/errors")
    told = set(re.findall(r"^# TYPE (\S+) ", read().content.decode(), re.MULTILINE))
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    named = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"commongrid_\w+", target["expr"])
    }

    assert {re.sub(r"_bucket$", "", name) for name in named} <= told
    assert len(named) >= 15
