"""A second steward makes a proposal the rule."""

from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.models import PolicyAdoption
from common.errors import NotFound

FAIRER = replace(policy.Rules(), operator_bp=8000, treasury_bp=1300)
STRICTER = replace(policy.Rules(), quarantine_rejections=2)


@pytest.fixture
def proposed(bob):
    return accounts.propose_policy(by=bob, rules=FAIRER, reason="save for a GPU")


def _still_the_first(cooperative):
    return queries.current_policy(cooperative.pk) == (1, policy.Rules())


def test_a_second_steward_adopts(proposed, sam):
    adoption = accounts.adopt_policy(by=sam, version=proposed)

    assert queries.current_policy(sam.cooperative_id) == (2, FAIRER)
    assert (adoption.adopted_by, adoption.proposed_by) == (sam, proposed.proposed_by)
    assert queries.policy(sam.cooperative_id, 1) == policy.Rules()


def test_the_proposer_cannot_adopt(proposed, bob, sam):
    with pytest.raises(accounts.SecondStewardNeeded):
        accounts.adopt_policy(by=bob, version=proposed)

    assert _still_the_first(bob.cooperative)


def test_the_database_refuses_it_too(proposed, bob):
    with pytest.raises(IntegrityError, match="policyadoption_by_a_second_steward"), transaction.atomic():
        PolicyAdoption.objects.create(
            version=proposed,
            cooperative=bob.cooperative,
            number=2,
            replaces=1,
            proposed_by=bob,
            adopted_by=bob,
        )

    assert _still_the_first(bob.cooperative)


@pytest.mark.parametrize(("who", "error"), [("alice", accounts.NotAllowed), ("charlie", NotFound)])
def test_members_may_not_and_outsiders_see_nothing(request, proposed, cooperative, who, error):
    by = request.getfixturevalue(who)

    with pytest.raises(error):
        accounts.adopt_policy(by=by, version=proposed)

    assert _still_the_first(cooperative)


def test_a_proposal_of_somebody_who_is_no_longer_a_steward_is_refused(sam, bob, cooperative):
    version = accounts.propose_policy(by=sam, rules=FAIRER, reason="last act")
    accounts.set_roles(by=bob, membership=sam, roles=["MEMBER"])

    with pytest.raises(accounts.SecondStewardNeeded, match="no longer a steward"):
        accounts.adopt_policy(by=bob, version=version)

    assert _still_the_first(cooperative)


def test_a_version_is_adopted_once(proposed, sam):
    accounts.adopt_policy(by=sam, version=proposed)

    with pytest.raises(accounts.AlreadyAdopted):
        accounts.adopt_policy(by=sam, version=proposed)

    assert PolicyAdoption.objects.count() == 2


def test_a_proposal_against_rules_that_were_replaced_has_to_be_made_anew(proposed, bob, sam):
    other = accounts.propose_policy(by=bob, rules=STRICTER, reason="too many liars")
    accounts.adopt_policy(by=sam, version=other)

    with pytest.raises(accounts.PolicySuperseded, match="proposed against version 1; version 3 is in force"):
        accounts.adopt_policy(by=sam, version=proposed)

    assert queries.current_policy(bob.cooperative_id) == (3, STRICTER)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_adopt_the_same_version_at_once_one_wins(proposed, bob, sam, olga, overlapping):
    accounts.set_roles(by=bob, membership=olga, roles=["STEWARD"])

    _, second = overlapping(
        lambda: accounts.adopt_policy(by=sam, version=proposed),
        lambda: accounts.adopt_policy(by=olga, version=proposed),
    )

    assert isinstance(second, accounts.AlreadyAdopted)
    assert PolicyAdoption.objects.get(number=2).adopted_by == sam


@pytest.mark.django_db(transaction=True)
def test_of_two_versions_adopted_at_once_one_becomes_the_rule(proposed, bob, sam, overlapping):
    other = accounts.propose_policy(by=sam, rules=STRICTER, reason="too many liars")

    _, second = overlapping(
        lambda: accounts.adopt_policy(by=sam, version=proposed),
        lambda: accounts.adopt_policy(by=bob, version=other),
    )

    assert isinstance(second, accounts.PolicySuperseded)
    assert queries.current_policy(bob.cooperative_id) == (2, FAIRER)
