"""Failures: tried again by somebody, failed when a second owner confirms, exhausted in the end."""

import pytest

from opengrid.messages import ExitReason
from scheduler.models import Attempt, Task
from scheduler.services import endings, results
from tests.scheduler import world


@pytest.fixture
def job(alice, shed, barn):
    return world.start(alice, assurance="quorum-2")


def test_a_failed_attempt_is_handed_out_again_and_still_bought(job, shed):
    (given,) = shed.claim()

    shed.fail(given, ExitReason.NONZERO_EXIT, "Traceback")

    task, row = Task.objects.get(), world.attempt(given)
    assert (task.state, task.open_executions, task.bought_left, task.claims) == ("OPEN", 2, 2, 1)
    assert (row.state, row.reason, row.detail) == ("FAILED", "nonzero_exit", "Traceback")
    assert row.finished_at is not None


@pytest.mark.parametrize("reason", sorted(set(ExitReason) - {ExitReason.OK}))
def test_only_what_the_node_causes_speaks_against_its_delivery(job, shed, reason):
    (given,) = shed.claim()

    shed.fail(given, reason)

    node_caused = {"cancelled", "lost", "sandbox_unavailable", "bad_signature"}
    assert world.evidence(shed.node, "delivery") == ([(False, reason)] if reason in node_caused else [])


def test_a_second_owner_that_confirms_fails_the_task(job, shed, barn):
    (mine,), (theirs,) = shed.claim(), barn.claim()
    shed.fail(mine, ExitReason.OOM)

    barn.fail(theirs, ExitReason.OOM)

    task = Task.objects.get()
    assert (task.state, task.reason, task.open_executions) == ("FAILED", "oom", 0)
    assert "task_failed" in world.reasons(job)


def test_two_owners_with_different_reasons_confirm_nothing(job, shed, barn):
    (mine,), (theirs,) = shed.claim(), barn.claim()
    shed.fail(mine, ExitReason.OOM)
    barn.fail(theirs, ExitReason.WALL)

    assert Task.objects.get().state == "OPEN"


def test_one_owner_alone_confirms_nothing(job, shed):
    for _ in range(2):
        (given,) = shed.claim()
        shed.fail(given, ExitReason.OOM)

    assert Task.objects.get().state == "OPEN"


def test_what_the_node_causes_is_never_the_tasks_fault(job, shed, barn):
    (mine,), (theirs,) = shed.claim(), barn.claim()
    shed.fail(mine, ExitReason.SANDBOX_UNAVAILABLE)
    barn.fail(theirs, ExitReason.SANDBOX_UNAVAILABLE)

    assert Task.objects.get().state == "OPEN"


def test_a_confirmed_failure_stops_whoever_still_runs_it(alice, shed, barn, loft):
    world.start(alice, assurance="quorum-3")
    (first,), (second,), (third,) = shed.claim(), barn.claim(), loft.claim()
    shed.fail(first, ExitReason.OOM)

    barn.fail(second, ExitReason.OOM)

    assert (world.attempt(third).state, world.attempt(third).reason) == ("CANCELLED", "oom")
    assert loft.beat(third) == [third.attempt_id]


def test_one_broken_machine_does_not_use_up_the_claims_of_a_task(job, shed, barn, loft):
    """It fails everything it can get as fast as it can; the others still finish the job."""
    while given := shed.claim():
        shed.fail(given[0], ExitReason.NONZERO_EXIT)

    task = Task.objects.get()
    assert (task.state, task.claims) == ("OPEN", 2)
    assert task.max_claims - task.claims == 4


def test_ok_is_not_the_reason_of_a_failure(job, shed):
    (given,) = shed.claim()

    with pytest.raises(endings.NotAFailure):
        shed.fail(given, ExitReason.OK)

    assert world.attempt(given).state == "RUNNING"


@pytest.mark.parametrize("state", ["SUBMITTED", "LOST"])
def test_a_failure_of_an_attempt_that_has_ended_is_stale(job, shed, state):
    (given,) = shed.claim()
    if state == "SUBMITTED":
        shed.deliver(given)
    else:
        Attempt.objects.filter(pk=given.attempt_id).update(state=state)

    with pytest.raises(results.StaleToken):
        shed.fail(given)

    assert world.attempt(given).state == state


def test_a_stale_token_and_a_strangers_attempt_are_refused(job, shed, barn):
    (given,) = shed.claim()

    for machine, assignment in ((shed, given.model_copy(update={"token": 9})), (barn, given)):
        with pytest.raises(results.StaleToken):
            machine.fail(assignment)

    assert world.attempt(given).state == "RUNNING"
    assert Task.objects.get().open_executions == 1
