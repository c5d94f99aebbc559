"""Making an invitation link."""

from datetime import timedelta

import pytest

from accounts import services as accounts
from accounts.core import tokens
from accounts.models import Invitation


def test_only_the_digest_of_the_link_is_kept(bob, now):
    invitation, token = accounts.invite(by=bob, roles=["MEMBER"], now=now)

    assert len(token) >= 43
    assert invitation.token_digest == tokens.digest(token)
    stored = Invitation.objects.values().get()
    assert token not in str(stored)


def test_it_is_valid_for_a_week_with_the_roles_in_the_order_of_the_table(bob, now):
    invitation, _ = accounts.invite(by=bob, roles=["STEWARD", "MEMBER", "MEMBER"], email=" New@Example.org ", now=now)

    assert invitation.roles == ["MEMBER", "STEWARD"]
    assert invitation.expires_at == now + timedelta(days=7)
    assert invitation.email == "new@example.org"
    assert (invitation.cooperative, invitation.invited_by) == (bob.cooperative, bob)


@pytest.mark.parametrize("roles", [[], ["KING"], ["MEMBER", "KING"]])
def test_roles_that_do_not_exist_are_refused(bob, now, roles):
    with pytest.raises(accounts.UnknownRole):
        accounts.invite(by=bob, roles=roles, now=now)

    assert not Invitation.objects.exists()


@pytest.mark.parametrize("who", ["alice", "olga"])
def test_whoever_is_no_steward_cannot_invite(request, now, who):
    by = request.getfixturevalue(who)

    with pytest.raises(accounts.NotAllowed) as refused:
        accounts.invite(by=by, roles=["MEMBER"], now=now)

    assert refused.value.extra == {"permission": "members.invite", "accepted_roles": ["STEWARD"]}
    assert not Invitation.objects.exists()


def test_a_role_taken_away_counts_although_the_caller_still_holds_the_old_row(bob, sam, now):
    accounts.set_roles(by=bob, membership=sam, roles=["MEMBER"])
    assert "STEWARD" in sam.roles

    with pytest.raises(accounts.NotAllowed):
        accounts.invite(by=sam, roles=["MEMBER"], now=now)

    assert not Invitation.objects.exists()
