"""Quarantine is visible, has a reason, can be appealed, and ends by a steward alone."""

import pytest
from django.db import IntegrityError, transaction

from accounts.services import NotAllowed
from common.errors import NotFound
from nodes import services
from nodes.models import NodeEvent
from nodes.services.living import AppealInvalid
from tests.nodes import agents


@pytest.fixture
def node(olga, now):
    return agents.working(olga, now)


@pytest.fixture
def quarantined(node, now):
    return services.quarantine(node=node, reason="repeated_rejections", detail="3 of the last 10", now=now)


def test_the_platform_quarantines_with_its_reason(quarantined):
    event = NodeEvent.objects.order_by("-id").first()

    assert (quarantined.state, quarantined.state_reason) == ("QUARANTINED", "repeated_rejections")
    assert (event.reason, event.detail, event.by) == ("repeated_rejections", "3 of the last 10", None)


def test_a_second_quarantine_keeps_the_first_reason(quarantined, bob, now):
    again = services.quarantine(node=quarantined, reason="quarantined_by_steward", by=bob, now=now)

    assert again.state_reason == "repeated_rejections"


def test_a_member_who_is_no_steward_quarantines_nobody(node, alice, now):
    with pytest.raises(NotAllowed):
        services.quarantine(node=node, reason="quarantined_by_steward", by=alice, now=now)

    node.refresh_from_db()
    assert node.state == "PROBATION"


def test_a_steward_of_another_cooperative_finds_no_such_node(node, charlie, now):
    with pytest.raises(NotFound):
        services.quarantine(node=node, reason="quarantined_by_steward", by=charlie, now=now)

    node.refresh_from_db()
    assert node.state == "PROBATION"


def test_a_released_node_is_on_probation_from_the_start(node, bob, now):
    services.record_validations(results=[(node.pk, True)] * 10, probation_validations=10, now=now)
    services.quarantine(node=node, reason="repeated_rejections", now=now)

    released = services.release_from_quarantine(node=node, reason="released_by_steward", by=bob, now=now)

    assert (released.state, released.validated_in_a_row) == ("PROBATION", 0)


def test_a_released_node_without_capacity_has_to_prove_itself(olga, bob, now):
    node = agents.joined(olga, now)
    services.quarantine(node=node, reason="quarantined_by_steward", by=bob, now=now)

    released = services.release_from_quarantine(node=node, reason="released_by_steward", by=bob, now=now)

    assert released.state == "JOINED"


def test_the_owner_cannot_release_the_node(quarantined, olga, now):
    with pytest.raises(NotAllowed):
        services.release_from_quarantine(node=quarantined, reason="released_by_steward", by=olga, now=now)

    quarantined.refresh_from_db()
    assert quarantined.state == "QUARANTINED"


@pytest.mark.parametrize("act", [services.drain, services.resume])
def test_a_quarantined_node_cannot_get_itself_out(act, quarantined, now):
    with pytest.raises(services.StepRefused):
        act(node=quarantined, reason="a_reason", now=now)

    quarantined.refresh_from_db()
    assert quarantined.state == "QUARANTINED"


def test_the_owner_appeals_in_words_that_stay(quarantined, olga, now):
    services.appeal(node=quarantined, by=olga, text="  The disk was full, it is replaced.  ", now=now)

    event = NodeEvent.objects.order_by("-id").first()
    assert (event.reason, event.detail, event.by) == ("appeal", "The disk was full, it is replaced.", olga)
    assert event.from_state == event.to_state == "QUARANTINED"
    quarantined.refresh_from_db()
    assert quarantined.state_reason == "repeated_rejections"


@pytest.mark.parametrize("text", ["", "   ", "x" * 501])
def test_an_appeal_needs_words(quarantined, olga, now, text):
    events = NodeEvent.objects.count()

    with pytest.raises(AppealInvalid):
        services.appeal(node=quarantined, by=olga, text=text, now=now)

    assert NodeEvent.objects.count() == events


def test_nobody_else_appeals(quarantined, alice, now):
    with pytest.raises(services.NotYourNode):
        services.appeal(node=quarantined, by=alice, text="please", now=now)


def test_an_event_without_a_typed_reason_is_refused_by_the_table(node, now):
    with pytest.raises(IntegrityError, match="nodeevent_typed_reason"), transaction.atomic():
        services.quarantine(node=node, reason="Because!", now=now)

    node.refresh_from_db()
    assert node.state == "PROBATION"
