"""A node's page: its day in bars, why it is idle, its evidence, who shares in it, and why it is quarantined."""

import datetime

import pytest
from django.urls import reverse

from common import clock
from dashboard.queries import machines
from dashboard.queries.viewer import Viewer
from marketplace.models import Lease, Order
from nodes import queries as nodes
from nodes.models import Node
from reputation import services as reputation
from reputation.services import NewEvidence
from scheduler.models import Attempt
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


def test_the_last_hour_shows_what_was_worked_and_earned(grid, olga):
    viewer = Viewer(olga, clock.database_now())

    hours = machines.by_hour(viewer, grid.shed)

    accepted = grid.accepted[0]
    earned = accepted.billed_micro * 85 // 100
    assert len(hours) == machines.HOURS
    assert sum(hour.worked_ms for hour in hours) == accepted.metered_ms
    assert sum(hour.earned_micro for hour in hours) == earned
    assert hours[-1].began_at <= viewer.now < hours[-1].began_at + datetime.timedelta(hours=1)


def idle(node, olga):
    viewer = Viewer(olga, clock.database_now())
    node.refresh_from_db()
    return machines.why_idle(viewer, machines.row(viewer, node))


def test_an_idle_node_says_why(grid, olga, alice, now):
    shed = grid.shed
    assert idle(shed, olga) is None
    Attempt.objects.filter(pk=grid.running.pk).update(state="LOST", finished_at=now)
    assert idle(shed, olga).reason == "leased_without_task"
    Lease.objects.filter(node=shed).update(state="CLOSED", ended_at=now, closed_at=now)
    assert idle(shed, olga).reason == "nobody_buys"
    scenes.an_order(alice, side="BUY", price_micro=600_000, lots=1)
    found = idle(shed, olga)
    assert (found.reason, found.asks_micro, found.bid_micro) == ("bids_below_ask", 800_000, 600_000)
    scenes.an_order(alice, side="BUY", price_micro=900_000, lots=1)
    assert idle(shed, olga).reason == "bids_do_not_fit"
    Order.objects.filter(node=shed).update(state="CANCELLED", open_lots=0)
    assert idle(shed, olga).reason == "nothing_offered_by_node"
    Node.objects.filter(pk=shed.pk).update(last_seen_at=None)
    assert idle(shed, olga).reason == "node_dark"
    Node.objects.filter(pk=shed.pk).update(state="DRAINING", state_reason="drained_by_owner")
    assert idle(shed, olga).reason == "drained_by_owner"


def test_the_evidence_is_listed_page_by_page(client_of, grid, alice, now):
    reputation.record(
        items=[
            NewEvidence(
                node_id=grid.shed.pk,
                dimension="delivery",
                success=bool(number % 2),
                reason="delivered" if number % 2 else "lost",
                reference=f"test:{number}",
                at=now,
            )
            for number in range(30)
        ]
    )
    client = client_of(alice)

    first = client.get(reverse("node-evidence", args=[grid.shed.pk]))
    second = client.get(reverse("node-evidence", args=[grid.shed.pk]), {"before": first.context["after"]})

    assert len(first.context["rows"]) == machines.EVIDENCE_ROWS
    assert len(second.context["rows"]) == 6
    assert "test:0" in second.text
    assert "test:0<" not in first.text


def shares_of(node):
    return {owner: bp for owner, _wallet, bp in nodes.shares_of([node.pk])[node.pk]}


def test_the_operator_divides_the_earnings(client_of, grid, olga, alice):
    address = reverse("node-shares", args=[grid.shed.pk])
    client = client_of(olga)

    client.post(address, {f"share_{olga.pk}": "66.67", "new_owner": alice.pk, "new_share": "33,33"})
    assert shares_of(grid.shed) == {olga.pk: 6_667, alice.pk: 3_333}
    assert 'value="33.33"' in client.get(reverse("node", args=[grid.shed.pk])).text

    client.post(address, {f"share_{olga.pk}": "100 %", f"share_{alice.pk}": ""})
    assert shares_of(grid.shed) == {olga.pk: 10_000}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"own": "99"}, "__all__"),
        ({"own": "50", "new_share": "50"}, "new_owner"),
        ({"own": "100", "new_owner": "alice"}, "new_share"),
        ({"own": "a lot"}, "own"),
        ({"own": "100.001"}, "own"),
        ({"own": "-1"}, "own"),
        ({"own": "50", "new_owner": "charlie", "new_share": "50"}, "new_owner"),
    ],
)
def test_shares_that_cannot_be_are_refused_at_their_field(client_of, grid, olga, alice, charlie, wish, field):
    people = {"alice": alice.pk, "charlie": charlie.pk}
    form = {f"share_{olga.pk}": wish["own"], "new_owner": people.get(wish.get("new_owner"), "")}

    answer = client_of(olga).post(
        reverse("node-shares", args=[grid.shed.pk]), form | {"new_share": wish.get("new_share", "")}
    )

    assert answer.status_code == 422
    assert list(answer.context["shares_form"].errors) == [f"share_{olga.pk}" if field == "own" else field]
    assert shares_of(grid.shed) == {olga.pk: 10_000}


def test_nobody_else_divides_them(client_of, grid, olga, sam, charlie):
    address = reverse("node-shares", args=[grid.shed.pk])
    wish = {f"share_{olga.pk}": "50", "new_owner": sam.pk, "new_share": "50"}

    assert client_of(sam).post(address, wish).status_code == 403
    assert client_of(charlie).post(address, wish).status_code == 404
    assert shares_of(grid.shed) == {olga.pk: 10_000}
    assert "Owners and shares" not in client_of(sam).get(reverse("node", args=[grid.shed.pk])).text


def test_a_quarantined_node_says_why_and_what_was_answered(client_of, grid, olga, sam):
    client_of(sam).post(reverse("quarantine-node", args=[grid.shed.pk]), {"text": "three wrong answers"})
    client_of(olga).post(reverse("appeal-quarantine", args=[grid.shed.pk]), {"text": "the disk was full"})

    page = client_of(olga).get(reverse("node", args=[grid.shed.pk])).text
    banner = page.split('class="banner bad"')[1].split("</div>")[0]

    assert banner.index("three wrong answers") < banner.index("the disk was full")
