"""The table of a node's life."""

from nodes.core import states


def test_a_retired_node_stays_retired():
    assert states.STEPS[states.RETIRED] == frozenset()


def test_every_other_state_can_be_retired():
    for state in states.STEPS.keys() - {states.RETIRED}:
        assert states.may_step(state, states.RETIRED)


def test_a_quarantined_node_never_becomes_active_at_once():
    assert not states.may_step(states.QUARANTINED, states.ACTIVE)


def test_every_step_leads_to_a_known_state():
    assert frozenset().union(*states.STEPS.values()) <= states.STEPS.keys()
