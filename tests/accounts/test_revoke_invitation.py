"""Taking an invitation link back."""

import pytest

from accounts import services as accounts
from common.errors import NotFound


def test_a_steward_takes_a_link_back(sam, invitation, now):
    row = accounts.revoke_invitation(by=sam, invitation=invitation[0], now=now)

    assert row.revoked_at == now


def test_a_second_time_is_refused(bob, invitation, now):
    accounts.revoke_invitation(by=bob, invitation=invitation[0], now=now)

    with pytest.raises(accounts.InvitationRevoked):
        accounts.revoke_invitation(by=bob, invitation=invitation[0], now=now)


def test_a_used_link_cannot_be_taken_back(bob, charlie, invitation, now):
    accounts.accept_invitation(token=invitation[1], user=charlie.user, now=now)

    with pytest.raises(accounts.InvitationUsed):
        accounts.revoke_invitation(by=bob, invitation=invitation[0], now=now)

    invitation[0].refresh_from_db()
    assert invitation[0].revoked_at is None


@pytest.mark.parametrize(("who", "error"), [("alice", accounts.NotAllowed), ("charlie", NotFound)])
def test_members_may_not_and_outsiders_see_nothing(request, invitation, now, who, error):
    by = request.getfixturevalue(who)

    with pytest.raises(error):
        accounts.revoke_invitation(by=by, invitation=invitation[0], now=now)

    invitation[0].refresh_from_db()
    assert invitation[0].revoked_at is None
