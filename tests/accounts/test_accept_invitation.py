"""Becoming a member by a link."""

from datetime import timedelta

import pytest

from accounts import services as accounts
from accounts.models import Invitation, Membership, User
from common.errors import NotFound


@pytest.fixture
def newcomer(db):
    return accounts.create_person(email="nina@example.org", password="correct horse battery")


def _nobody_joined(invitation):
    invitation.refresh_from_db()
    return invitation.accepted_at is None and not Membership.objects.filter(user__email="nina@example.org").exists()


def test_the_bearer_becomes_a_member_with_the_roles_of_the_link(bob, newcomer, now):
    invitation, token = accounts.invite(by=bob, roles=["MEMBER", "OPERATOR"], now=now)

    membership = accounts.accept_invitation(token=token, user=newcomer, now=now, display_name="Nina")

    assert membership.cooperative == bob.cooperative
    assert membership.roles == ["MEMBER", "OPERATOR"]
    invitation.refresh_from_db()
    assert (invitation.accepted_by, invitation.accepted_at) == (membership, now)
    newcomer.refresh_from_db()
    assert newcomer.display_name == "Nina"


def test_a_link_works_once(invitation, newcomer, charlie, now):
    row, token = invitation
    accounts.accept_invitation(token=token, user=newcomer, now=now)

    with pytest.raises(accounts.InvitationUsed, match="ask a steward of Riverside"):
        accounts.accept_invitation(token=token, user=charlie.user, now=now)

    assert not Membership.objects.filter(user=charlie.user, cooperative=row.cooperative).exists()


def test_an_unknown_link_is_not_found(newcomer, now):
    with pytest.raises(NotFound):
        accounts.accept_invitation(token="no such token", user=newcomer, now=now)

    assert not Membership.objects.filter(user=newcomer).exists()


def test_a_link_expires_at_its_last_moment(invitation, newcomer, now):
    row, token = invitation

    with pytest.raises(accounts.InvitationExpired, match="2026-11-28 12:00"):
        accounts.accept_invitation(token=token, user=newcomer, now=now + timedelta(days=7))

    assert _nobody_joined(row)
    accounts.accept_invitation(token=token, user=newcomer, now=now + timedelta(days=7, microseconds=-1))


def test_a_link_taken_back_is_refused(bob, invitation, newcomer, now):
    row, token = invitation
    accounts.revoke_invitation(by=bob, invitation=row, now=now)

    with pytest.raises(accounts.InvitationRevoked):
        accounts.accept_invitation(token=token, user=newcomer, now=now)

    assert _nobody_joined(row)


def test_a_link_of_somebody_who_may_no_longer_invite_is_refused(bob, sam, newcomer, now):
    row, token = accounts.invite(by=sam, roles=["STEWARD"], now=now)
    accounts.set_roles(by=bob, membership=sam, roles=["MEMBER"])

    with pytest.raises(accounts.InvitationRevoked, match="may no longer invite"):
        accounts.accept_invitation(token=token, user=newcomer, now=now)

    assert _nobody_joined(row)


def test_a_link_for_one_address_is_refused_to_another(bob, newcomer, now):
    row, token = accounts.invite(by=bob, roles=["MEMBER"], email="someone@example.org", now=now)

    with pytest.raises(accounts.InvitationForAnother) as refused:
        accounts.accept_invitation(token=token, user=newcomer, now=now)

    assert "someone@example.org" not in str(refused.value)
    assert _nobody_joined(row)


def test_an_address_that_is_not_verified_does_not_count(bob, now):
    row, token = accounts.invite(by=bob, roles=["MEMBER"], email="nina@example.org", now=now)
    unverified = User.objects.create_user("nina@example.org", "correct horse battery")

    with pytest.raises(accounts.InvitationForAnother):
        accounts.accept_invitation(token=token, user=unverified, now=now)

    assert _nobody_joined(row)


def test_a_link_for_ones_own_address_is_accepted(bob, newcomer, now):
    _, token = accounts.invite(by=bob, roles=["AUDITOR"], email="Nina@Example.org", now=now)

    assert accounts.accept_invitation(token=token, user=newcomer, now=now).roles == ["AUDITOR"]


def test_a_member_does_not_use_the_link_up(invitation, alice, now):
    row, token = invitation

    with pytest.raises(accounts.AlreadyMember):
        accounts.accept_invitation(token=token, user=alice.user, now=now)

    row.refresh_from_db()
    assert row.accepted_at is None
    alice.refresh_from_db()
    assert alice.roles == ["MEMBER"]


def test_whoever_had_left_comes_back_to_the_same_wallet(bob, olga, invitation, now):
    accounts.leave(membership=olga, now=now)

    membership = accounts.accept_invitation(token=invitation[1], user=olga.user, now=now)

    assert (membership.wallet, membership.roles, membership.left_at) == (olga.wallet, ["MEMBER"], None)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_accept_at_once_one_becomes_a_member(invitation, newcomer, charlie, now, overlapping):
    row, token = invitation

    first, second = overlapping(
        lambda: accounts.accept_invitation(token=token, user=newcomer, now=now),
        lambda: accounts.accept_invitation(token=token, user=charlie.user, now=now),
    )

    assert isinstance(second, accounts.InvitationUsed)
    assert Invitation.objects.get(pk=row.pk).accepted_by == first
    assert not Membership.objects.filter(cooperative=row.cooperative, user=charlie.user).exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_of_the_same_person_one_counts(invitation, newcomer, now, overlapping):
    row, token = invitation

    def click():
        return accounts.accept_invitation(token=token, user=newcomer, now=now)

    first, second = overlapping(click, click)

    assert isinstance(second, accounts.AlreadyMember)
    assert Membership.objects.get(user=newcomer) == first == Invitation.objects.get(pk=row.pk).accepted_by


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_taken_back_while_somebody_accepts_stays_accepted(bob, invitation, newcomer, now, overlapping):
    row, token = invitation

    first, second = overlapping(
        lambda: accounts.accept_invitation(token=token, user=newcomer, now=now),
        lambda: accounts.revoke_invitation(by=bob, invitation=Invitation.objects.get(pk=row.pk), now=now),
    )

    assert isinstance(second, accounts.InvitationUsed)
    row.refresh_from_db()
    assert (row.accepted_by, row.revoked_at) == (first, None)
