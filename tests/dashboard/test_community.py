"""The cooperative's page: what members brought in and how the treasury did."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from common import errors
from dashboard import panels
from dashboard.queries import community
from dashboard.queries.viewer import Viewer
from ledger import queries as ledger
from ledger import services as transfers
from ledger.core.postings import Entry
from opengrid import score
from reputation import services as reputation
from reputation.services import NewContribution
from tests.dashboard import scenes
from tests.dashboard.test_wallet_page import made_at

HOUR_MS = 3_600_000


def brought_in(membership, node, at, *, hours=0, tasks=0, earned_micro, reference):
    """What the settlement of a task leaves behind."""
    kind, quantity = ("MODEL", tasks) if tasks else ("COMPUTE", hours * HOUR_MS)
    reputation.record_contributions(
        items=[
            NewContribution(
                membership_id=membership.pk,
                node_id=None if tasks else node.pk,
                kind=kind,
                quantity=quantity,
                earned_micro=earned_micro,
                reference=reference,
                at=at,
            )
        ]
    )


@pytest.fixture
def shed(olga, now):
    return scenes.a_node(olga, now)


def test_members_stand_by_what_they_earned_within_thirty_days(bob, olga, alice, shed, now):
    brought_in(olga, shed, now, hours=3, earned_micro=4_000_000, reference="a")
    brought_in(olga, shed, now - timedelta(days=29), hours=1, earned_micro=1_000_000, reference="b")
    brought_in(olga, shed, now - timedelta(days=31), hours=90, earned_micro=90_000_000, reference="c")
    brought_in(bob, None, now, tasks=7, earned_micro=2_500_000, reference="d")

    found = community.contributions(Viewer(alice, now))

    assert [
        (line.membership, line.core_hours_milli, line.model_tasks, line.earned_micro, line.length)
        for line in found.lines
    ] == [(olga, 4_000, 0, 5_000_000, 1000), (bob, 0, 7, 2_500_000, 500)]
    assert not found.are_more


def test_a_members_score_is_the_public_formula_over_all_of_their_nodes(grid, olga, bob, now):
    reputation.rescore(node_ids=[grid.shed.pk, grid.attic.pk], now=now)

    found = {line.membership: line.score_micro for line in community.contributions(Viewer(bob, now)).lines}

    assert found[olga] == score.from_strengths(1, 0)


def test_the_treasury_by_day_is_the_sum_of_what_came_and_went(cooperative, alice, bob, now):
    treasury = f"coop:{cooperative.pk}:treasury"
    for back, credits in ((40, 5), (20, 7), (3, 2), (0, 1)):
        key = f"test:{back}"
        entries = [Entry(f"coop:{cooperative.pk}:issuance", -credits), Entry(treasury, credits)]
        transfers.transfer(key=key, kind="TEST", entries=entries)
        made_at(key, now.replace(hour=0, minute=0, second=1, microsecond=0) - timedelta(days=back))

    found = community.treasury(Viewer(alice, now))

    assert len(found.days) == community.DAYS
    assert found.days[-1].balance_micro == ledger.balance(treasury) == 15
    assert [(day.began_at, day.change_micro) for day in found.days if day.change_micro] == [
        (Viewer(alice, now).day_began_at - timedelta(days=back), change) for back, change in ((20, 7), (3, 2), (0, 1))
    ]
    assert found.days[0].balance_micro == 5
    assert found.change_micro == 10


def test_charts_are_drawn_with_their_figures_in_a_table(client_of, grid, alice):
    page = client_of(alice).get(reverse("cooperative")).text

    assert re.search(r'<path class="sold" d="M0 200L.*?Z">', page)
    assert page.count('data-row="1') >= 1
    table = page[page.index("Treasury by day") :]
    assert len(re.findall(r"<tr data-row", table[: table.index("</table>")])) == community.DAYS
    assert "How this is counted" in page
    assert "gets 8.00" in page


def test_a_young_cooperative_says_what_will_stand_there(client_of, bob):
    page = client_of(bob).get(reverse("cooperative")).text

    assert "Nothing has come into the treasury yet." in page
    assert "Nobody has earned anything within the last 30 days." in page
    assert f'href="{reverse("add-node")}">Add a node' in page


@pytest.mark.parametrize("name", ["cooperative-treasury", "cooperative-contributions"])
def test_another_cooperatives_figures_are_not_found(alice, charlie, now, name):
    with pytest.raises(errors.NotFound):
        panels.render(name, str(alice.cooperative_id), Viewer(charlie, now))
    with pytest.raises(errors.NotFound):
        panels.render(name, "x", Viewer(alice, now))


def test_the_panels_take_as_many_queries_however_many_contribute(grid, alice, now, django_assert_num_queries):
    viewer, key = Viewer(alice, now), str(alice.cooperative_id)
    for extra in range(2):
        with django_assert_num_queries(3):
            panels.render("cooperative-contributions", key, viewer)
        with django_assert_num_queries(2):
            panels.render("cooperative-treasury", key, viewer)
        brought_in(alice, grid.shed, now, hours=1, earned_micro=1, reference=f"more {extra}")
