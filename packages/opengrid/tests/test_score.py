"""The public score against scipy, its monotonicity, and its incremental form."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from opengrid import beta, score

NOW_MS = score.EPOCH_MS + 150 * score.HALF_LIFE_MS + 12_345_678
PARAMETERS = [1.0, 1.001, 1.5, 2.0, 3.25, 7.0, 19.99, 100.5, 1234.5, 31_415.9, 1e5, 999_999.5, 1e6]

items = st.builds(
    score.EvidenceItem,
    at_ms=st.integers(score.EPOCH_MS, NOW_MS),
    dimension=st.sampled_from(score.Dimension),
    success=st.booleans(),
    weight_milli=st.integers(1, score.MAX_WEIGHT_MILLI),
)


@pytest.mark.parametrize("probability", [0.05, 0.5, 0.001])
def test_the_quantile_equals_scipys_on_a_wide_grid(probability: float) -> None:
    for a, b in itertools.product(PARAMETERS, PARAMETERS):
        expected = float(special.betaincinv(a, b, probability))

        found = beta.quantile(a, b, probability)

        assert found == pytest.approx(expected, rel=1e-11, abs=1e-13), (a, b)


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_the_distribution_equals_scipys(a: float, b: float, x: float) -> None:
    expected = float(special.betainc(a, b, x))

    assert beta.distribution(a, b, x) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
@settings(max_examples=200, deadline=None)
def test_the_score_is_scipys_quantile_to_six_decimals(successes: float, failures: float) -> None:
    expected = float(special.betaincinv(1 + successes, 1 + failures, 0.05)) * score.MICRO

    assert abs(score.from_strengths(successes, failures) - expected) <= 0.5 + 1e-4


def test_scores_that_anyone_can_check_by_hand() -> None:
    # I_x(1+s, 1) = x**(1+s), so without failures the score is 0.05 ** (1 / (1 + s))
    assert score.from_strengths(0, 0) == 50_000
    assert score.from_strengths(1, 0) == 223_607
    assert score.from_strengths(9, 0) == 741_134
    assert score.from_strengths(0, 1) == round((1 - 0.95**0.5) * 1e6)


@pytest.mark.parametrize(("a", "b"), [(0.5, 2), (2, 0), (float("nan"), 2), (float("inf"), 2)])
def test_parameters_without_a_quantile_are_refused(a: float, b: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        beta.quantile(a, b, 0.05)


@given(st.lists(items, max_size=12), items)
@settings(max_examples=150, deadline=None)
def test_success_never_lowers_and_failure_never_raises(
    evidence: list[score.EvidenceItem], extra: score.EvidenceItem
) -> None:
    before = score.score(evidence, NOW_MS)

    after = score.score([*evidence, extra], NOW_MS)

    for dimension in score.Dimension:
        if dimension is not extra.dimension:
            assert after[dimension] == before[dimension]
        elif extra.success:
            assert after[dimension] >= before[dimension]
        else:
            assert after[dimension] <= before[dimension]


@given(st.lists(items, min_size=1, max_size=30), st.randoms(), st.integers(0, 10**11))
@settings(max_examples=100, deadline=None)
def test_a_running_tally_gives_the_recomputed_score_in_any_order(
    evidence: list[score.EvidenceItem], shuffler: random.Random, later_ms: int
) -> None:
    shuffled = list(evidence)
    shuffler.shuffle(shuffled)
    running = {dimension: score.Tally() for dimension in score.Dimension}

    for item in shuffled:
        running[item.dimension] = running[item.dimension].add(item)

    now_ms = NOW_MS + later_ms
    assert running == score.tallies(evidence)
    assert {each: tally.score_micro(now_ms) for each, tally in running.items()} == score.score(evidence, now_ms)


@given(st.lists(items, max_size=20))
@settings(max_examples=100, deadline=None)
def test_decay_is_two_to_the_minus_age_over_seven_days(evidence: list[score.EvidenceItem]) -> None:
    def plain_sum(success: bool) -> float:
        return sum(
            item.weight_milli / 1000 * 2 ** (-(NOW_MS - item.at_ms) / (7 * 86_400_000))
            for item in evidence
            if item.success == success
        )

    total = score.Tally()
    for item in evidence:
        total = total.add(item)

    assert total.strengths(NOW_MS) == pytest.approx((plain_sum(True), plain_sum(False)), rel=1e-11, abs=1e-300)


def test_one_half_life_halves_exactly() -> None:
    total = score.Tally().add(score.EvidenceItem(NOW_MS, score.Dimension.UPTIME, True))

    assert total.strengths(NOW_MS) == (1.0, 0.0)
    assert total.strengths(NOW_MS + score.HALF_LIFE_MS) == (0.5, 0.0)
    assert total.strengths(NOW_MS + 10 * score.HALF_LIFE_MS) == (1 / 1024, 0.0)


def test_the_score_returns_to_that_of_a_newcomer() -> None:
    evidence = [score.EvidenceItem(NOW_MS, score.Dimension.DELIVERY, False) for _ in range(50)]

    now, later = (
        score.score(evidence, NOW_MS),
        score.score(evidence, NOW_MS + 40 * score.HALF_LIFE_MS),
    )

    assert now == {"correctness": 50_000, "delivery": 1_005, "uptime": 50_000}
    assert later == {"correctness": 50_000, "delivery": 50_000, "uptime": 50_000}


def test_evidence_that_cannot_be_is_refused() -> None:
    def fact(at_ms: int, weight_milli: int) -> score.EvidenceItem:
        return score.EvidenceItem(at_ms, score.Dimension.UPTIME, True, weight_milli)

    for item in (
        fact(score.EPOCH_MS - 1, 1000),
        fact(NOW_MS + 1, 1000),
        fact(NOW_MS, 0),
        fact(NOW_MS, -5),
        fact(NOW_MS, score.MAX_WEIGHT_MILLI + 1),
    ):
        with pytest.raises(ValueError, match="found"):
            score.score([item], NOW_MS)
