"""Ten validated results in a row end probation; one rejection restores it; validators are exempt."""

import pytest

from accounts.services import NotAllowed
from common.errors import NotFound
from nodes import queries, services
from nodes.models import NodeEvent
from tests.nodes import agents


@pytest.fixture
def node(olga, now):
    return agents.working(olga, now)


def count(node, results, now, wanted=10):
    services.record_validations(results=[(node.pk, valid) for valid in results], probation_validations=wanted, now=now)
    node.refresh_from_db()


def test_nine_are_not_enough_and_ten_are(node, now):
    count(node, [True] * 9, now)
    assert (node.state, queries.is_on_probation(node)) == ("PROBATION", True)

    count(node, [True], now)
    assert (node.state, node.state_reason) == ("ACTIVE", "probation_passed")
    assert not queries.is_on_probation(node)


def test_a_rejection_starts_the_count_anew(node, now):
    count(node, [True] * 9 + [False] + [True] * 9, now)

    assert (node.state, node.validated_in_a_row) == ("PROBATION", 9)


def test_a_rejection_puts_an_active_node_back_on_probation(node, now):
    count(node, [True] * 10, now)

    count(node, [False], now)

    assert (node.state, node.state_reason, node.validated_in_a_row) == ("PROBATION", "result_rejected", 0)


def test_several_nodes_are_counted_in_one_act(node, olga, now):
    other = agents.working(olga, now)

    services.record_validations(
        results=[(node.pk, True), (other.pk, False), (node.pk, True)], probation_validations=2, now=now
    )

    node.refresh_from_db()
    other.refresh_from_db()
    assert (node.state, other.state) == ("ACTIVE", "PROBATION")


def test_a_draining_node_is_counted_without_a_change_of_state(node, now):
    services.drain(node=node, reason="drained_by_node", now=now)

    count(node, [True] * 10, now)

    assert (node.state, node.validated_in_a_row) == ("DRAINING", 10)


def test_counting_costs_the_same_statements_for_one_node_as_for_three(node, olga, now, django_assert_num_queries):
    others = [agents.working(olga, now), agents.working(olga, now)]
    results = [(found.pk, True) for found in (node, *others)]

    # savepoint, the locked rows, one update, release
    with django_assert_num_queries(4):
        services.record_validations(results=results, probation_validations=10, now=now)


def test_a_named_validator_leaves_probation(node, bob, now):
    named = services.name_validator(by=bob, node=node, is_validator=True, now=now)

    assert (named.state, named.state_reason) == ("ACTIVE", "named_validator")
    assert not queries.is_on_probation(named)


def test_a_validator_stays_active_after_a_rejection(node, bob, now):
    services.name_validator(by=bob, node=node, is_validator=True, now=now)

    count(node, [False], now)

    assert (node.state, node.validated_in_a_row) == ("ACTIVE", 0)


def test_who_is_no_longer_validator_is_on_probation(node, bob, now):
    services.name_validator(by=bob, node=node, is_validator=True, now=now)

    node = services.name_validator(by=bob, node=node, is_validator=False, now=now)

    assert (node.state, node.state_reason) == ("PROBATION", "no_longer_validator")


def test_only_a_steward_of_the_cooperative_names_validators(node, olga, charlie, now):
    events = NodeEvent.objects.count()

    with pytest.raises(NotAllowed):
        services.name_validator(by=olga, node=node, is_validator=True, now=now)
    with pytest.raises(NotFound):
        services.name_validator(by=charlie, node=node, is_validator=True, now=now)

    node.refresh_from_db()
    assert not node.is_validator
    assert NodeEvent.objects.count() == events


def test_a_quarantined_node_cannot_be_named(node, bob, now):
    services.quarantine(node=node, reason="repeated_rejections", now=now)

    with pytest.raises(services.StepRefused):
        services.name_validator(by=bob, node=node, is_validator=True, now=now)
