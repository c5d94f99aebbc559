"""Heartbeats, drain, resume and retirement."""

import datetime

import pytest

from common.errors import NotFound
from nodes import queries, services
from nodes.models import NodeEvent
from nodes.services.living import DrainedByOwner
from opengrid import messages
from tests.nodes import agents


@pytest.fixture
def node(olga, now):
    return agents.working(olga, now)


def beat(node, now, **fields):
    request = messages.HeartbeatRequest(**({"slots_free": 2, "load_permille": 300} | fields))
    services.record_heartbeat(node=node, request=request, now=now)
    node.refresh_from_db()


def test_a_heartbeat_lights_up_its_own_node_alone(node, olga, now):
    other = agents.working(olga, now)
    later = now + datetime.timedelta(seconds=60)

    beat(node, later)

    other.refresh_from_db()
    assert not queries.is_dark(node, later)
    assert queries.is_dark(other, later)
    assert (node.reported_slots_free, node.reported_load_permille) == (2, 300)


def test_a_node_is_dark_after_thirty_seconds_of_silence(node, now):
    beat(node, now)

    assert not queries.is_dark(node, now + datetime.timedelta(seconds=30))
    assert queries.is_dark(node, now + datetime.timedelta(seconds=31))


def test_a_late_heartbeat_does_not_turn_time_back(node, now):
    beat(node, now + datetime.timedelta(seconds=9))

    beat(node, now)

    assert node.last_seen_at == now + datetime.timedelta(seconds=9)


def test_absurd_reports_are_cut_to_what_the_column_holds(node, now):
    beat(node, now, slots_free=2**53, load_permille=2**53)

    assert node.reported_slots_free == node.reported_load_permille == 2**31 - 1


def test_a_retired_node_is_not_heard(node, now):
    services.retire(node=node, reason="retired_by_node", now=now)

    beat(node, now + datetime.timedelta(seconds=9))

    assert node.last_seen_at == now


def test_a_node_drains_and_resumes_by_itself(node, now):
    drained = services.drain(node=node, reason="drained_by_node", now=now)
    assert (drained.state, drained.state_reason) == ("DRAINING", "drained_by_node")

    resumed = services.resume(node=node, reason="resumed_by_node", now=now)
    assert (resumed.state, resumed.state_reason) == ("PROBATION", "resumed_by_node")


def test_a_node_cannot_undo_its_owners_drain(node, olga, now):
    services.drain(node=node, reason="drained_by_node", now=now)
    services.drain(node=node, reason="drained_by_owner", by=olga, now=now)

    with pytest.raises(DrainedByOwner):
        services.resume(node=node, reason="resumed_by_node", now=now)

    node.refresh_from_db()
    assert (node.state, node.state_reason) == ("DRAINING", "drained_by_owner")
    assert services.resume(node=node, reason="resumed_by_owner", by=olga, now=now).state == "PROBATION"


def test_a_second_drain_by_the_node_keeps_the_owners_reason(node, olga, now):
    services.drain(node=node, reason="drained_by_owner", by=olga, now=now)

    services.drain(node=node, reason="drained_by_node", now=now)

    node.refresh_from_db()
    assert node.state_reason == "drained_by_owner"


def test_an_active_node_is_active_again_after_its_drain(node, now):
    services.record_validations(results=[(node.pk, True)] * 10, probation_validations=10, now=now)
    services.drain(node=node, reason="drained_by_node", now=now)

    assert services.resume(node=node, reason="resumed_by_node", now=now).state == "ACTIVE"


def test_a_node_that_has_only_joined_cannot_be_drained(olga, now):
    node = agents.joined(olga, now)

    with pytest.raises(services.StepRefused):
        services.drain(node=node, reason="drained_by_node", now=now)

    node.refresh_from_db()
    assert node.state == "JOINED"


@pytest.mark.parametrize("act", [services.drain, services.resume, services.retire])
def test_another_member_cannot_touch_the_node(act, node, alice, bob, now):
    services.drain(node=node, reason="drained_by_node", now=now)
    events = NodeEvent.objects.count()

    for stranger in (alice, bob):
        with pytest.raises(services.NotYourNode):
            act(node=node, reason="a_reason", by=stranger, now=now)

    node.refresh_from_db()
    assert node.state == "DRAINING"
    assert NodeEvent.objects.count() == events


@pytest.mark.parametrize("act", [services.drain, services.retire])
def test_an_outsider_is_told_that_there_is_no_such_node(act, node, charlie, now):
    with pytest.raises(NotFound):
        act(node=node, reason="a_reason", by=charlie, now=now)


def test_a_retired_node_sells_nothing_and_stays_retired(node, olga, now):
    retired = services.retire(node=node, reason="retired_by_owner", by=olga, now=now)

    assert (retired.state, retired.sellable_lots) == ("RETIRED", 0)
    with pytest.raises(services.StepRefused):
        services.drain(node=node, reason="drained_by_node", now=now)


def test_every_change_of_state_leaves_an_event_with_its_reason(node, olga, now):
    services.drain(node=node, reason="drained_by_owner", by=olga, now=now, detail="moving house")

    event = NodeEvent.objects.order_by("-id").first()
    assert (event.from_state, event.to_state, event.reason) == ("PROBATION", "DRAINING", "drained_by_owner")
    assert (event.detail, event.by, event.at) == ("moving house", olga, now)
