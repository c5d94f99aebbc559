"""Ending a membership."""

import pytest

from accounts import queries
from accounts import services as accounts
from accounts.models import Membership
from common.errors import NotFound


def test_whoever_leaves_is_no_member_and_their_tokens_end(alice, now):
    _, secret = accounts.issue_api_token(membership=alice, name="laptop", scopes=["jobs:read"], now=now)

    accounts.leave(membership=alice, now=now)

    assert Membership.objects.get(pk=alice.pk).left_at == now
    assert alice not in queries.members(alice.cooperative)
    assert not queries.memberships_of(alice.user).exists()
    assert accounts.find_api_token(secret, now) is None


def test_a_steward_ends_the_membership_of_another(bob, alice, now):
    accounts.leave(membership=alice, by=bob, now=now)

    assert Membership.objects.get(pk=alice.pk).left_at == now


def test_the_last_steward_cannot_leave(bob, alice, now):
    with pytest.raises(accounts.LastSteward):
        accounts.leave(membership=bob, now=now)

    assert Membership.objects.get(pk=bob.pk).left_at is None


@pytest.mark.parametrize(("who", "error"), [("olga", accounts.NotAllowed), ("charlie", NotFound)])
def test_nobody_else_ends_a_membership(request, alice, now, who, error):
    by = request.getfixturevalue(who)

    with pytest.raises(error):
        accounts.leave(membership=alice, by=by, now=now)

    assert Membership.objects.get(pk=alice.pk).left_at is None


def test_whoever_has_left_can_do_nothing_more(bob, sam, now):
    accounts.leave(membership=sam, now=now)

    with pytest.raises(NotFound):
        accounts.invite(by=sam, roles=["MEMBER"], now=now)
    with pytest.raises(NotFound):
        accounts.leave(membership=sam, now=now)
