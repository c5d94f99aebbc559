"""Founding a cooperative."""

import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.utils import IntegrityError

from accounts import queries
from accounts import services as accounts
from accounts.core import policy
from accounts.models import Cooperative, Membership, PolicyAdoption, PolicyVersion, User


@pytest.fixture
def founder(db):
    return User.objects.create_user("fay@example.org", "correct horse battery")


def test_the_founder_is_member_operator_and_steward(founder, now):
    cooperative = accounts.found_cooperative(name="Riverside", slug="riverside", founder=founder, now=now)

    membership = cooperative.memberships.get()
    assert (membership.user, membership.roles) == (founder, ["MEMBER", "OPERATOR", "STEWARD"])
    assert membership.joined_at == cooperative.founded_at == now
    assert membership.wallet == f"coop:{cooperative.pk}:member:{membership.pk}"


def test_the_first_rules_are_adopted_by_the_founder_alone(founder, now):
    cooperative = accounts.found_cooperative(name="Riverside", slug="riverside", founder=founder, now=now)

    assert queries.current_policy(cooperative.pk) == (1, policy.Rules())
    assert cooperative.policy_versions.get().adoption.adopted_by.user == founder


def test_a_taken_short_name_is_refused_and_nothing_is_left_behind(founder, now):
    accounts.found_cooperative(name="Riverside", slug="riverside", founder=founder, now=now)

    with pytest.raises(accounts.SlugTaken):
        accounts.found_cooperative(name="Other", slug="riverside", founder=founder, now=now)

    assert (Cooperative.objects.count(), Membership.objects.count(), PolicyVersion.objects.count()) == (
        1,
        1,
        1,
    )


@pytest.mark.parametrize("table", ["accounts_policyversion", "accounts_policyadoption"])
@pytest.mark.parametrize("change", ["UPDATE {} SET number = 2", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_rule_book_is_append_only(cooperative, table, change):
    with pytest.raises((IntegrityError, ProgrammingError), match="append-only"), transaction.atomic():
        connection.cursor().execute(f"SET CONSTRAINTS ALL IMMEDIATE; {change.format(table)}")

    assert PolicyVersion.objects.get().number == PolicyAdoption.objects.get().number == 1
