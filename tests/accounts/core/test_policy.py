"""Rules parse strictly, survive the round trip and differ where they differ."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core import policy


@st.composite
def rule_books(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3)))
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    rest = {
        name: draw(st.integers(*policy.bounds(name)))
        for name in policy.NAMES
        if name not in policy.SHARES and name != "quarantine_rejections"
    }
    rejections = draw(st.integers(1, rest["quarantine_window"]))
    return {**dict(zip(policy.SHARES, shares, strict=True)), **rest, "quarantine_rejections": rejections}


@given(rule_books())
def test_every_acceptable_document_survives_the_round_trip(document):
    assert policy.as_dict(policy.parse(document)) == document


@given(rule_books(), rule_books())
def test_a_difference_applied_to_the_first_gives_the_second(first, second):
    before, after = policy.parse(first), policy.parse(second)

    changes = policy.diff(before, after)

    changed = dataclasses.replace(before, **{change.rule: change.after for change in changes})
    assert changed == after
    assert all(change.before != change.after for change in changes)


@given(rule_books(), st.sampled_from(policy.SHARES), st.integers(1, 10_000))
def test_shares_that_do_not_sum_to_ten_thousand_are_refused(document, name, extra):
    document[name] += extra

    with pytest.raises(policy.RulesRefused) as refused:
        policy.parse(document)

    assert {problem.code for problem in refused.value.problems.values()} <= {
        "shares_do_not_sum",
        "out_of_bounds",
    }


@given(rule_books(), st.sampled_from(policy.NAMES))
def test_a_missing_rule_is_refused_by_name(document, name):
    del document[name]

    with pytest.raises(policy.RulesRefused) as refused:
        policy.parse(document)

    assert refused.value.problems[name].code == "missing_rule"


@given(rule_books(), st.sampled_from(policy.NAMES), st.sampled_from([True, 1.0, "1", None, []]))
def test_what_is_not_a_whole_number_is_refused(document, name, value):
    document[name] = value

    with pytest.raises(policy.RulesRefused) as refused:
        policy.parse(document)

    assert refused.value.problems == {
        name: policy.Problem(
            "not_a_whole_number", repr(value), "a whole number from {} to {}".format(*policy.bounds(name))
        )
    }


@given(rule_books(), st.sampled_from(policy.NAMES))
def test_bounds_hold_on_both_sides(document, name):
    least, most = policy.bounds(name)

    for value in (least - 1, most + 1):
        with pytest.raises(policy.RulesRefused) as refused:
            policy.parse({**document, name: value})
        assert refused.value.problems[name].code == "out_of_bounds"


def test_an_unknown_rule_is_refused_beside_the_other_problems():
    document = {**policy.as_dict(policy.Rules()), "tax_bp": 1, "reserve_bp": -1}

    with pytest.raises(policy.RulesRefused) as refused:
        policy.parse(document)

    assert {name: p.code for name, p in refused.value.problems.items()} == {
        "tax_bp": "unknown_rule",
        "reserve_bp": "out_of_bounds",
    }


def test_more_rejections_than_checks_in_the_window_are_refused():
    document = {**policy.as_dict(policy.Rules()), "quarantine_rejections": 11, "quarantine_window": 10}

    with pytest.raises(policy.RulesRefused) as refused:
        policy.parse(document)

    assert refused.value.problems["quarantine_rejections"].code == "more_than_window"


def test_the_rules_of_a_new_cooperative_are_acceptable():
    assert policy.parse(policy.as_dict(policy.Rules())) == policy.Rules()


def test_a_rule_younger_than_an_adopted_version_has_its_default():
    adopted = policy.as_dict(policy.Rules(treasury_bp=900, reserve_bp=300))
    del adopted["spare_claims"]

    assert policy.stored(adopted) == policy.Rules(treasury_bp=900, reserve_bp=300)
