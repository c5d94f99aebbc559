"""Each minute, each node that should be working is found there or not, once."""

from datetime import UTC, datetime, timedelta

import pytest

from nodes import queries as nodes
from reputation import queries, tasks
from reputation import services as reputation
from reputation.models import Evidence

NOW = datetime(2026, 11, 21, 12, 7, 31, tzinfo=UTC)
DARK = timedelta(seconds=nodes.DARK_SECONDS)


@pytest.mark.parametrize("state", ["ACTIVE", "PROBATION"])
@pytest.mark.parametrize(
    ("silence", "success"),
    [(timedelta(0), True), (DARK, True), (DARK + timedelta(microseconds=1), False), (None, False)],
)
def test_a_working_node_was_there_if_it_was_heard_of(make_node, state, silence, success):
    node = make_node(state, last_seen_at=silence if silence is None else NOW - silence)

    assert reputation.record_uptime(now=NOW) == 1

    found = Evidence.objects.get()
    assert (found.node_id, found.dimension, found.success, found.at) == (node.pk, "uptime", success, NOW)
    assert found.reference == f"uptime:{node.pk}:2026-11-21T12:07Z"
    assert (queries.scores(node.pk)["uptime"] > 50_000) == success


@pytest.mark.parametrize("state", ["JOINED", "BENCHMARKED", "DRAINING", "QUARANTINED", "RETIRED"])
def test_a_node_that_promises_nothing_is_not_judged(make_node, state):
    make_node(state)

    assert reputation.record_uptime(now=NOW) == 0

    assert not Evidence.objects.exists()


def test_a_minute_is_judged_once_and_the_next_one_again(make_node):
    node = make_node(last_seen_at=NOW)
    reputation.record_uptime(now=NOW)

    assert reputation.record_uptime(now=NOW + timedelta(seconds=28)) == 0
    assert reputation.record_uptime(now=NOW + timedelta(seconds=29)) == 1

    assert list(Evidence.objects.filter(node=node).order_by("at").values_list("reference", flat=True)) == [
        f"uptime:{node.pk}:2026-11-21T12:07Z",
        f"uptime:{node.pk}:2026-11-21T12:08Z",
    ]


def test_the_task_judges_by_the_clock_of_the_database(make_node):
    make_node(last_seen_at=None)

    tasks.record_uptime()

    assert not Evidence.objects.get().success
