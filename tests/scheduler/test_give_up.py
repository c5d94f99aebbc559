"""Tasks that nobody can finish any more end with their reason; those that somebody can, wait."""

from datetime import timedelta

import pytest
from django.db.models import F

from common.clock import database_now
from nodes.models import Node
from opengrid.messages import ExitReason
from scheduler.models import Attempt, Task
from scheduler.services import jobs, stuck
from tests.scheduler import world

pytestmark = pytest.mark.usefixtures("books_balance")


@pytest.fixture
def half(alice, shed, barn):
    """A quorum of two that has one result."""
    job = world.start(alice, assurance="quorum-2")
    (given,) = shed.claim()
    shed.deliver(given)
    return job


def quiet(seconds=601):
    delta = timedelta(seconds=seconds)
    Attempt.objects.update(
        claimed_at=F("claimed_at") - delta, submitted_at=F("submitted_at") - delta, finished_at=F("finished_at") - delta
    )


def give_up():
    return stuck.give_up(now=database_now())


def test_a_result_that_nobody_comes_to_check_fails_and_frees_the_hold(alice, half, shed, barn, balances):
    barn.go_dark()
    quiet()

    assert give_up() == 1

    assert (Task.objects.get().state, Task.objects.get().reason) == ("FAILED", "no_other_owner")
    assert jobs.finish_if_over(job_id=half.pk, now=database_now())
    assert balances(alice.wallet, shed.node.operator.wallet) == [1_000_000_000, 0]


def test_ten_minutes_are_waited_first(half, barn):
    barn.go_dark()
    quiet(599)

    assert give_up() == 0


def test_while_another_owner_is_there_it_waits(half, barn):
    quiet()

    assert give_up() == 0


@pytest.mark.parametrize("state", ["QUARANTINED", "DRAINING"])
def test_an_owner_whose_node_takes_no_work_is_not_there(half, barn, state):
    Node.objects.filter(pk=barn.node.pk).update(state=state)
    quiet()

    assert give_up() == 1


def test_a_tie_without_a_third_owner_says_so(alice, shed, barn, loft):
    job = world.start(alice, assurance="quorum-2")
    for machine, answer in ((shed, b"1"), (barn, b"2")):
        (given,) = machine.claim()
        machine.deliver(given, answer)
    world.verify_all(job)
    loft.go_dark()
    quiet()

    assert give_up() == 1
    assert Task.objects.get().reason == "no_third_owner"


def test_a_cancelled_job_does_not_wait_for_an_owner_that_is_too_dear(alice, half, barn):
    jobs.cancel_job(job=half, by=alice, now=database_now())
    quiet()

    assert give_up() == 1
    assert Task.objects.get().reason == "cancelled_by_member"
    assert jobs.finish_if_over(job_id=half.pk, now=database_now())


def test_a_task_that_lost_its_node_waits_for_it_to_come_back(alice, shed):
    """There is nothing to check, and the member can cancel: it just waits for capacity."""
    world.start(alice)
    (given,) = shed.claim()
    shed.fail(given, ExitReason.LOST)
    shed.go_dark()
    quiet()

    assert give_up() == 0


def test_a_task_that_every_owner_failed_twice_has_nobody_left(alice, shed, barn):
    job = world.start(alice, assurance="quorum-2")
    for machine in (shed, barn):
        for _ in range(2):
            (given,) = machine.claim()
            machine.fail(given, ExitReason.SANDBOX_UNAVAILABLE)
    quiet()

    assert give_up() == 1
    assert Task.objects.get().reason == "attempts_exhausted"
    assert "task_failed" in world.reasons(job)


def test_what_runs_is_left_alone(alice, half, barn):
    barn.claim()
    barn.go_dark()
    quiet()

    assert give_up() == 0


def test_twice_is_once(half, barn):
    barn.go_dark()
    quiet()

    assert (give_up(), give_up()) == (1, 0)
