"""Facts are recorded once and never change."""

from functools import partial

import pytest
from django.db import Error, connection, transaction

from reputation import queries
from reputation import services as reputation
from reputation.models import Contribution, Evidence, PendingEvidence
from reputation.services import NewContribution


def test_facts_are_recorded_with_all_they_say(fact, node, now):
    assert reputation.record(items=[fact("a", weight_milli=2500), fact("b", success=False)]) == 2

    first, second = Evidence.objects.order_by("reference")
    assert (first.node_id, first.dimension, first.success, first.weight_milli) == (node.pk, "correctness", True, 2500)
    assert (second.reason, second.reference, second.at, second.success) == ("disagreed", "b", now, False)


def test_a_fact_known_by_reference_and_dimension_is_left_out(fact):
    reputation.record(items=[fact("a")])

    assert (
        reputation.record(items=[fact("a", success=False), fact("a", dimension="delivery"), fact("b"), fact("b")]) == 2
    )

    assert Evidence.objects.get(reference="a", dimension="correctness").success
    assert Evidence.objects.count() == PendingEvidence.objects.count() == 3


def test_nothing_of_a_batch_with_a_bad_fact_is_recorded(fact):
    with pytest.raises(reputation.BadEvidence):
        reputation.record(items=[fact("a"), fact("b", dimension="charm")])

    assert not Evidence.objects.exists()


def test_no_facts_are_no_work(db):
    assert reputation.record(items=[]) == 0


@pytest.mark.parametrize("table", ["evidence", "contribution"])
@pytest.mark.parametrize(
    "change", ["UPDATE reputation_{} SET id = id", "DELETE FROM reputation_{}", "TRUNCATE reputation_{} CASCADE"]
)
def test_what_is_recorded_never_changes(fact, olga, now, table, change):
    reputation.record(items=[fact("a")])
    reputation.record_contributions(items=[NewContribution(olga.pk, "COMPUTE", 5, 7, "a", now)])

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(Error, match=r"append-only: \w+ refused"), transaction.atomic():
            cursor.execute(change.format(table))

    assert Evidence.objects.count() == Contribution.objects.count() == 1


def test_contributions_are_recorded_once_by_reference(olga, alice, now):
    items = [
        NewContribution(olga.pk, "COMPUTE", 90_000, 850, "attempt:1:1", now),
        NewContribution(alice.pk, "MODEL", 1, 95, "task:1:royalty", now),
    ]

    reputation.record_contributions(items=items)
    reputation.record_contributions(items=[NewContribution(olga.pk, "COMPUTE", 1, 1, "attempt:1:1", now), *items])

    found = Contribution.objects.order_by("reference").values_list("membership", "kind", "quantity", "earned_micro")
    assert list(found) == [(olga.pk, "COMPUTE", 90_000, 850), (alice.pk, "MODEL", 1, 95)]


def test_rejections_are_counted_among_the_latest_checked_results(fact, make_node, now):
    other = make_node()
    outcomes = [False, False, True, True, False, True]  # oldest first
    reputation.record(
        items=[fact(f"attempt:{n}", success=success, at=now.replace(minute=n)) for n, success in enumerate(outcomes)]
        + [fact("late", success=False, dimension="delivery"), fact("other", success=False, node_id=other.pk)]
    )

    node_id = Evidence.objects.get(reference="late").node_id
    assert [queries.rejections_in_last(node_id, n) for n in (1, 2, 4, 5, 6, 10)] == [0, 1, 1, 2, 3, 3]


def test_recorders_of_the_same_facts_record_each_once(fact, together):
    facts = [fact(f"attempt:{n:02}") for n in range(30)]

    counts = together(*(partial(reputation.record, items=facts[::step]) for step in (1, -1, 1, -1, 1, -1)))

    assert sum(counts) == 30
    assert Evidence.objects.count() == PendingEvidence.objects.count() == 30
