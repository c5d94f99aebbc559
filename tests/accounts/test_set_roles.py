"""Changing what a member is."""

import pytest

from accounts import services as accounts
from common.errors import NotFound


def test_a_steward_makes_a_member_an_operator(bob, alice):
    accounts.set_roles(by=bob, membership=alice, roles=["OPERATOR", "MEMBER"])

    alice.refresh_from_db()
    assert alice.roles == ["MEMBER", "OPERATOR"]


@pytest.mark.parametrize("roles", [[], ["KING"]])
def test_roles_that_do_not_exist_are_refused(bob, alice, roles):
    with pytest.raises(accounts.UnknownRole):
        accounts.set_roles(by=bob, membership=alice, roles=roles)

    alice.refresh_from_db()
    assert alice.roles == ["MEMBER"]


def test_the_last_steward_stays_one(bob, alice):
    with pytest.raises(accounts.LastSteward, match="Bob is the only steward"):
        accounts.set_roles(by=bob, membership=bob, roles=["MEMBER"])

    bob.refresh_from_db()
    assert "STEWARD" in bob.roles


def test_a_steward_steps_down_while_another_one_stays(bob, sam):
    accounts.set_roles(by=bob, membership=bob, roles=["MEMBER"])

    bob.refresh_from_db()
    assert bob.roles == ["MEMBER"]


@pytest.mark.parametrize(("who", "error"), [("olga", accounts.NotAllowed), ("charlie", NotFound)])
def test_members_may_not_and_outsiders_see_nothing(request, alice, who, error):
    by = request.getfixturevalue(who)

    with pytest.raises(error):
        accounts.set_roles(by=by, membership=alice, roles=["STEWARD"])

    alice.refresh_from_db()
    assert alice.roles == ["MEMBER"]


@pytest.mark.django_db(transaction=True)
def test_two_stewards_who_step_down_at_once_leave_one(bob, sam, overlapping):
    _, second = overlapping(
        lambda: accounts.set_roles(by=bob, membership=bob, roles=["MEMBER"]),
        lambda: accounts.set_roles(by=sam, membership=sam, roles=["MEMBER"]),
    )

    assert isinstance(second, accounts.LastSteward)
    sam.refresh_from_db()
    assert "STEWARD" in sam.roles
