"""The first page of the console: what waits for a steward, each with its act; and nothing of other cooperatives."""

import dataclasses
from datetime import timedelta

import pytest

from accounts import queries
from accounts import services as accounts
from dashboard.queries import console as queue
from dashboard.queries.viewer import Viewer
from nodes import services as nodes
from nodes.models import Node
from scheduler.models import Attempt, Job, JobEvent
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(sam, now):
    """What waits for Sam, as kinds; later by some time."""

    def read(by=sam, after=timedelta(0)):
        return queue.items(Viewer(by, now + after))

    return read


def kinds(items):
    return [item.kind for item in items]


def test_nothing_waits_where_everything_is_well(console, waiting, grid):
    assert waiting() == []
    assert "Nothing waits for a steward" in console.get("/console/").text


def test_an_appeal_comes_first_in_the_owners_words(console, waiting, grid, bob, olga, now):
    for node in (grid.attic, grid.shed):
        nodes.quarantine(node=node, reason="quarantined_by_steward", by=bob, now=now, detail="odd sums")
    nodes.appeal(node=grid.shed, by=olga, text="the fan was broken", now=now)

    assert kinds(waiting())[:2] == ["appeal", "quarantined"]
    text = console.get("/console/").text
    assert "the fan was broken" in text
    assert f"/console/nodes/node/{grid.shed.pk}/release/" in text


def test_an_appeal_of_an_earlier_quarantine_is_over(waiting, grid, bob, olga, now):
    nodes.quarantine(node=grid.shed, reason="quarantined_by_steward", by=bob, now=now)
    nodes.appeal(node=grid.shed, by=olga, text="the fan was broken", now=now)
    nodes.release_from_quarantine(node=grid.shed, reason="released_by_steward", by=bob, now=now)
    nodes.quarantine(node=grid.shed, reason="quarantined_by_steward", by=bob, now=now)

    assert kinds(waiting()) == ["quarantined"]


def test_rules_and_credit_wait_for_the_other_steward(console, waiting, grid, bob, sam, alice, now):
    _number, rules = queries.current_policy(bob.cooperative_id)
    changed = dataclasses.replace(rules, probation_validations=rules.probation_validations + 1)
    accounts.propose_policy(by=bob, rules=changed, reason="more care")
    accounts.propose_credit_issue(
        by=bob, to_address=alice.wallet, amount_micro=20_000 * 1_000_000, reason="a year", now=now
    )

    assert kinds(waiting()) == ["policy", "credit"]
    assert kinds(waiting(bob)) == ["own_policy", "own_credit"]
    text = console.get("/console/").text
    assert "/adopt/" in text
    assert "/approve/" in text


def test_a_node_that_is_not_heard_of_and_a_job_that_stands_still(waiting, grid, now):
    assert kinds(waiting(after=timedelta(seconds=31))) == ["dark", "dark"]

    Attempt.objects.filter(state="RUNNING").update(state="LOST", finished_at=now)
    Node.objects.update(last_seen_at=now + timedelta(minutes=11))

    assert kinds(waiting(after=timedelta(minutes=9))) == []
    assert kinds(waiting(after=timedelta(minutes=11))) == ["stuck"]

    JobEvent.objects.create(job=grid.job, reason="job_started", at=now + timedelta(minutes=5))
    assert kinds(waiting(after=timedelta(minutes=11))) == []


def test_a_job_that_a_node_works_on_is_not_stuck(waiting, grid, now):
    Node.objects.update(last_seen_at=now + timedelta(minutes=11))
    Job.objects.filter(pk=grid.job.pk).update(submitted_at=now - timedelta(hours=1))

    assert kinds(waiting(after=timedelta(minutes=11))) == []


def test_frozen_payouts_are_the_gravest(console, waiting, grid, bob, now):
    from ledger.models import PayoutFreeze

    nodes.quarantine(node=grid.shed, reason="quarantined_by_steward", by=bob, now=now)
    PayoutFreeze.objects.create(
        findings=f"account_negative coop:{bob.cooperative_id}:treasury: holds -1\naccount_negative coop:999:treasury: x"
    )

    assert kinds(waiting()) == ["payouts_frozen", "quarantined"]
    text = console.get("/console/ledger/").text
    assert f"coop:{bob.cooperative_id}:treasury: holds -1" in text
    assert "coop:999" not in text


def test_others_problems_are_not_shown(waiting, grid, charlie, bob, alice, now):
    nodes.quarantine(node=grid.shed, reason="quarantined_by_steward", by=bob, now=now)
    scenes.credit(bob, alice, 20_000, now)

    assert waiting(charlie) == []


def test_the_page_takes_a_fixed_number_of_queries(console, grid, bob, now, django_assert_num_queries):
    console.get("/console/")
    with django_assert_num_queries(QUERIES):
        console.get("/console/")
    for number in range(5):
        node = scenes.a_node(bob, now, name=f"n{number}")
        nodes.quarantine(node=node, reason="quarantined_by_steward", by=bob, now=now)

    with django_assert_num_queries(QUERIES + 2):  # the appeals of quarantined nodes
        console.get("/console/")


QUERIES = 17
