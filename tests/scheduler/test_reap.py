"""Taking back: deadlines, silence, nodes that may not work; never what arrived meanwhile."""

from datetime import timedelta

import pytest
from django.db.models import Q

from common.clock import database_now
from nodes.models import Node
from scheduler.models import Attempt, Task
from scheduler.services import endings
from tests.scheduler import world


@pytest.fixture
def job(alice, shed):
    return world.start(alice)


@pytest.fixture
def given(job, shed):
    return shed.claim()[0]


def reap():
    return endings.reap(now=database_now())


def test_nothing_is_taken_from_a_node_that_beats_in_time(given):
    assert reap() == 0
    assert world.attempt(given).state == "RUNNING"


def test_a_deadline_that_passed_takes_the_attempt_back(job, shed, given):
    world.expire(given)

    assert reap() == 1

    row, task = world.attempt(given), Task.objects.get()
    assert (row.state, row.reason) == ("LOST", "deadline_passed")
    assert (task.state, task.open_executions, task.bought_left) == ("OPEN", 1, 1)
    assert world.evidence(shed.node, "delivery") == [(False, "deadline_passed")]
    assert world.reasons(job)[-1] == "attempt_lost"


def test_thirty_silent_seconds_take_the_attempt_back(shed, given):
    shed.go_dark(29)
    assert reap() == 0
    shed.go_dark(31)

    assert reap() == 1

    assert world.attempt(given).reason == "node_dark"


@pytest.mark.parametrize("state", ["QUARANTINED", "RETIRED"])
def test_a_node_that_is_out_loses_its_work_without_being_blamed_twice(shed, given, state):
    Node.objects.filter(pk=shed.node.pk).update(state=state)

    assert reap() == 1

    assert (world.attempt(given).state, world.attempt(given).reason) == ("CANCELLED", "node_stopped")
    assert world.evidence(shed.node, "delivery") == []
    assert Task.objects.get().open_executions == 1


def test_a_draining_node_finishes_what_it_runs(shed, given):
    Node.objects.filter(pk=shed.node.pk).update(state="DRAINING")

    assert reap() == 0


def test_twice_is_once(given):
    world.expire(given)

    assert (reap(), reap()) == (1, 0)
    assert Task.objects.get().open_executions == 1


def test_a_result_that_came_first_stays(shed, given):
    shed.deliver(given)
    world.expire(given)
    shed.go_dark()

    assert reap() == 0
    assert world.attempt(given).state == "SUBMITTED"


def test_a_beat_that_came_after_it_was_found_keeps_the_attempt(shed, given):
    silent = Q(beat_at__lt=database_now() - timedelta(seconds=30))
    shed.go_dark()
    shed.beat(given)

    taken = endings._take_back(given.attempt_id, given.task_id, silent, "LOST", "node_dark", database_now())

    assert taken == 0
    assert world.attempt(given).state == "RUNNING"


def test_one_that_cannot_be_taken_back_does_not_keep_the_others(alice, shed, monkeypatch, caplog):
    world.start(alice, 3)
    given = shed.claim(3)
    for assignment in given:
        world.expire(assignment)
    real = endings._take_back

    def fails_once(attempt_id, *rest):
        if attempt_id == given[0].attempt_id:
            raise RuntimeError("broken row")
        return real(attempt_id, *rest)

    monkeypatch.setattr(endings, "_take_back", fails_once)

    assert reap() == 2
    assert Attempt.objects.filter(state="RUNNING").count() == 1
    assert "broken row" in caplog.text


def test_a_poison_task_runs_out_of_claims(job, shed):
    for _ in range(5):
        (given,) = shed.claim()
        world.expire(given)
        reap()

    task = Task.objects.get()
    assert (task.state, task.reason, task.claims) == ("FAILED", "attempts_exhausted", 5)
    assert shed.claim() == []
