"""Proposing rules."""

from dataclasses import replace

import pytest

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.models import PolicyVersion

FAIRER = replace(policy.Rules(), operator_bp=8000, treasury_bp=1300)


def test_a_proposal_gets_the_next_number_and_changes_nothing_yet(bob):
    version = accounts.propose_policy(by=bob, rules=FAIRER, reason="save for a GPU")

    assert (version.number, version.replaces, version.proposed_by) == (2, 1, bob)
    assert queries.policy(bob.cooperative_id, 2) == FAIRER
    assert queries.current_policy(bob.cooperative_id) == (1, policy.Rules())


def test_numbers_have_no_gaps_after_a_refused_proposal(bob):
    with pytest.raises(accounts.PolicyRefused):
        accounts.propose_policy(by=bob, rules=replace(FAIRER, reserve_bp=-1), reason="no")
    first = accounts.propose_policy(by=bob, rules=FAIRER, reason="one")
    second = accounts.propose_policy(by=bob, rules=replace(FAIRER, spare_claims=5), reason="two")

    assert [first.number, second.number] == [2, 3]


def test_rules_built_in_code_are_checked_like_rules_from_a_form(bob):
    with pytest.raises(accounts.PolicyRefused) as refused:
        accounts.propose_policy(by=bob, rules=replace(policy.Rules(), operator_bp=8501), reason="more")

    assert refused.value.extra["problems"]["operator_bp"]["code"] == "shares_do_not_sum"
    assert PolicyVersion.objects.count() == 1


def test_a_reason_is_needed(bob):
    with pytest.raises(accounts.PolicyRefused, match="reason"):
        accounts.propose_policy(by=bob, rules=FAIRER, reason=" ")

    assert PolicyVersion.objects.count() == 1


def test_rules_that_change_nothing_are_refused(bob):
    with pytest.raises(accounts.NothingChanges):
        accounts.propose_policy(by=bob, rules=policy.Rules(), reason="again")

    assert PolicyVersion.objects.count() == 1


@pytest.mark.parametrize("who", ["alice", "olga"])
def test_only_stewards_propose(request, who):
    by = request.getfixturevalue(who)

    with pytest.raises(accounts.NotAllowed):
        accounts.propose_policy(by=by, rules=FAIRER, reason="mine")

    assert PolicyVersion.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_proposals_at_once_get_two_numbers(bob, sam, overlapping):
    first, second = overlapping(
        lambda: accounts.propose_policy(by=bob, rules=FAIRER, reason="one"),
        lambda: accounts.propose_policy(by=sam, rules=replace(FAIRER, spare_claims=9), reason="two"),
    )

    assert [first.number, second.number] == [2, 3]
