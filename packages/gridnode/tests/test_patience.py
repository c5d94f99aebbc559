"""Waits grow, are spread at random, and are never shorter than what was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from gridnode.patience import LONGEST_ASKED_SECONDS, Backoff, jittered


@given(st.floats(0.01, 10), st.floats(1, 100), st.integers(1, 30))
def test_waits_double_up_to_the_longest_and_lose_at_most_a_half(first: float, longest: float, count: int) -> None:
    backoff = Backoff(first, longest)

    for number in range(count):
        whole = first if number == 0 else min(first * 2**number, longest)
        assert whole / 2 <= backoff.wait_seconds() <= whole


def test_waits_differ_so_that_agents_do_not_stay_in_step() -> None:
    assert len({Backoff(1, 1).wait_seconds() for _ in range(20)}) > 10
    assert len({jittered(1) for _ in range(20)}) > 10


@given(st.floats(-10, 10_000))
def test_what_was_asked_for_is_kept_but_not_beyond_reason(asked: float) -> None:
    wait = Backoff(0.5, 10).wait_seconds(asked)

    assert min(asked, LONGEST_ASKED_SECONDS) <= wait <= max(0.5, 1.25 * min(asked, LONGEST_ASKED_SECONDS))


def test_after_a_success_the_first_wait_comes_again() -> None:
    backoff = Backoff(1, 64)
    for _ in range(6):
        backoff.wait_seconds()

    backoff.reset()

    assert backoff.wait_seconds() <= 1
