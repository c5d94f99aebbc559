"""Assurance words, sharding, confirmed failures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core import assurance, failures, sharding
from scheduler.models import Attempt


@pytest.mark.parametrize(("word", "number"), [("none", 1), ("quorum-2", 2), ("quorum-5", 5)])
def test_an_assurance_buys_executions(word, number):
    assert assurance.executions(word) == number


@pytest.mark.parametrize("word", ["", "quorum", "quorum-", "quorum-1", "quorum-6", "quorum-²", "audit", "quorum-2-3"])
def test_an_unknown_assurance_is_refused(word):
    with pytest.raises(assurance.UnknownAssurance):
        assurance.executions(word)


@given(st.integers(1, 10_000), st.integers(1, 500))
def test_shards_cover_every_row_once(rows, rows_per_task):
    cut = list(sharding.shards(rows, rows_per_task))

    assert [row for shard in cut for row in range(shard.start, shard.stop)] == list(range(rows))
    assert len(cut) == sharding.count(rows, rows_per_task)
    assert all(0 < shard.stop - shard.start <= rows_per_task for shard in cut)


def test_one_owner_cannot_fail_a_job_by_repeating_itself():
    assert failures.confirmed([("a", "oom"), ("a", "oom")]) is None


def test_two_owners_confirm_a_reason():
    assert failures.confirmed([("a", "oom"), ("b", "wall"), ("b", "oom")]) == "oom"


def test_reasons_of_the_node_never_fail_a_job():
    reports = [("a", "lost"), ("b", "lost"), ("c", "sandbox_unavailable"), ("d", "sandbox_unavailable")]

    assert failures.confirmed(reports) is None


def test_an_owner_that_has_or_had_a_result_is_barred():
    for state in ("RUNNING", "SUBMITTED", "ACCEPTED", "REJECTED"):
        assert failures.barred([("a", state), ("b", "CANCELLED")]) == {"a"}


def test_two_fruitless_tries_bar_an_owner_and_nobody_else():
    assert failures.barred([("a", "FAILED"), ("b", "LOST")]) == frozenset()
    assert failures.barred([("a", "FAILED"), ("b", "LOST"), ("a", "LOST")]) == {"a"}


def test_every_state_of_an_attempt_is_counting_fruitless_or_stopped():
    assert set(Attempt.State.values) == failures.COUNTING | failures.FRUITLESS | {"CANCELLED"}
