"""Heartbeats: progress is noted, what is no longer the node's is named."""

import pytest

from opengrid import messages
from scheduler.models import Attempt
from scheduler.services import endings, results
from tests.scheduler import world


@pytest.fixture
def given(alice, shed):
    world.start(alice)
    return shed.claim()[0]


def beat(machine, assignment, **changes):
    fields = {
        "attempt_id": assignment.attempt_id,
        "token": assignment.token,
        "progress_permille": 400,
        "log_tail": "half done",
    }
    return results.record_beats(node=machine.node, beats=[messages.AttemptBeat(**(fields | changes))])


def test_a_beat_notes_progress_and_keeps_the_attempt_alive(shed, given):
    shed.go_dark()

    assert beat(shed, given) == []

    row = world.attempt(given)
    assert (row.progress_permille, row.reported_log_tail) == (400, "half done")
    assert endings.reap(now=row.beat_at) == 0


def test_a_stale_token_is_told_to_stop_and_changes_nothing(shed, given):
    assert beat(shed, given, token=given.token + 1) == [given.attempt_id]

    assert world.attempt(given).progress_permille == 0


def test_another_nodes_attempt_is_not_touched(given, barn):
    assert beat(barn, given) == [given.attempt_id]

    assert world.attempt(given).progress_permille == 0


def test_an_attempt_that_has_ended_is_told_to_stop(shed, given):
    Attempt.objects.filter(pk=given.attempt_id).update(state="LOST")

    assert beat(shed, given) == [given.attempt_id]


def test_ids_that_never_were_are_told_to_stop(shed, given):
    beats = [messages.AttemptBeat(attempt_id=2**53, token=2**53)]

    assert results.record_beats(node=shed.node, beats=beats) == [2**53]


def test_the_same_attempt_twice_in_one_beat_is_no_trouble(shed, given):
    beats = [messages.AttemptBeat(attempt_id=given.attempt_id, token=given.token, progress_permille=9)] * 2

    assert results.record_beats(node=shed.node, beats=beats) == []
    assert world.attempt(given).progress_permille == 9


@pytest.mark.parametrize("many", [1, 4])
def test_four_attempts_cost_as_many_statements_as_one(alice, shed, django_assert_num_queries, many):
    world.start(alice, many)
    beats = [messages.AttemptBeat(attempt_id=a.attempt_id, token=a.token) for a in shed.claim(many)]

    with django_assert_num_queries(3):  # one, between savepoint and release
        assert results.record_beats(node=shed.node, beats=beats) == []
