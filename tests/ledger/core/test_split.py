"""A division loses nothing, favours nobody by order, and stays within one micro of the exact quota."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import split

WEIGHTS = st.dictionaries(st.text(max_size=5), st.integers(0, 10**9), min_size=1, max_size=12).filter(
    lambda weights: sum(weights.values()) > 0
)
AMOUNTS = st.integers(0, 10**18)


@given(AMOUNTS, WEIGHTS)
def test_parts_sum_exactly_and_stay_within_one_micro_of_the_quota(amount, weights):
    parts = split.split(amount, weights)

    total = sum(weights.values())
    assert sum(parts.values()) == amount
    assert parts.keys() == weights.keys()
    for name, part in parts.items():
        assert part >= 0
        assert abs(part - Fraction(amount * weights[name], total)) < 1
        assert weights[name] > 0 or part == 0


@given(AMOUNTS, WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_the_parties_does_not_matter(amount, weights, random):
    shuffled = dict(random.sample(list(weights.items()), len(weights)))

    assert split.split(amount, shuffled) == split.split(amount, weights)


@given(AMOUNTS, WEIGHTS)
def test_a_greater_weight_never_gets_less(amount, weights):
    parts = split.split(amount, weights)

    by_weight = sorted(weights, key=lambda name: (weights[name], parts[name]))
    assert [parts[name] for name in by_weight] == sorted(parts.values())


def test_equal_remainders_go_to_names_in_order():
    assert split.split(2, {"c": 1, "a": 1, "b": 1}) == {"a": 1, "b": 1, "c": 0}


def test_the_policy_of_the_first_cooperative_divides_a_bill():
    parts = split.split(1_000_001, {"operator": 8500, "treasury": 800, "reserve": 400, "assurance": 300})

    assert parts == {"operator": 850_001, "treasury": 80_000, "reserve": 40_000, "assurance": 30_000}


@pytest.mark.parametrize(("amount", "weights"), [(-1, {"a": 1}), (1, {}), (1, {"a": 0}), (1, {"a": 2, "b": -1})])
def test_what_cannot_be_divided_is_refused(amount, weights):
    with pytest.raises(split.NotDivisible):
        split.split(amount, weights)
