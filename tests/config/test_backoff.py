"""Restarts come later after each failure, and at once again after a healthy time."""

from hypothesis import given
from hypothesis import strategies as st

from config.supervision.backoff import Backoff

draws = st.floats(0, 1, exclude_max=True)


@given(st.lists(draws, min_size=1, max_size=60))
def test_waits_double_up_to_the_longest_and_jitter_by_at_most_half(numbers):
    backoff = Backoff(first_seconds=0.25, longest_seconds=10.0)

    waits = [backoff.after_failure(well_seconds=0.0, draw=number) for number in numbers]

    for turn, (wait, number) in enumerate(zip(waits, numbers, strict=True)):
        assert wait == min(10.0, 0.25 * 2.0 ** min(turn, 32)) * (0.5 + number / 2)


@given(st.integers(1, 40), draws)
def test_a_healthy_time_forgets_the_failures(failures, draw):
    backoff = Backoff()
    for _ in range(failures):
        backoff.after_failure(well_seconds=9.9, draw=draw)

    assert backoff.failures == failures
    assert backoff.after_failure(well_seconds=10.0, draw=0.0) == 0.125
    assert backoff.failures == 1
