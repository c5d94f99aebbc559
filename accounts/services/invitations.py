"""Links that make their bearer a member, once."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from accounts import queries
from accounts.core import roles as role_table
from accounts.core import tokens
from accounts.models import Cooperative, Invitation, Membership, StewardAct, User
from accounts.services import acts, cooperatives, people, permissions
from common import live
from common.errors import Conflict, Forbidden
from common.words import said as _

VALID_DAYS = 7


class InvitationExpired(Conflict):
    """The link came too late."""

    code = "invitation_expired"
    title = _("This invitation has expired")


class InvitationRevoked(Conflict):
    """A steward took the link back, or whoever sent it may no longer invite."""

    code = "invitation_revoked"
    title = _("This invitation has been taken back")


class InvitationUsed(Conflict):
    """The link has made somebody a member already."""

    code = "invitation_used"
    title = _("This invitation has been used")


class InvitationForAnother(Forbidden):
    """The link was made for one e-mail address, and the bearer has not shown to own it."""

    code = "invitation_for_another"
    title = _("This invitation is for another e-mail address")


class AlreadyMember(Conflict):
    """The bearer belongs to the cooperative already; the link stays unused."""

    code = "already_member"
    title = _("You are a member already")


@transaction.atomic
def invite(*, by: Membership, roles: Iterable[str], email: str = "", now: datetime) -> tuple[Invitation, str]:
    """An invitation with `roles`, valid for 7 days, and its token, which is never seen again.

    With `email`, only a person who has verified that address can accept. Raises: NotAllowed, UnknownRole.
    """
    wanted = cooperatives.known_roles(roles)
    by = permissions.acting(by, "members.invite")
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        cooperative=by.cooperative,
        roles=wanted,
        email=email.strip().lower(),
        token_digest=tokens.digest(token),
        invited_by=by,
        created_at=now,
        expires_at=now + timedelta(days=VALID_DAYS),
    )
    acts.record_act(
        by=by,
        act=StewardAct.Act.INVITE,
        subject=invitation,
        before={},
        after={"roles": wanted, "email": invitation.email},
    )
    return invitation, token


@transaction.atomic
def accept_invitation(*, token: str, user: User, now: datetime, display_name: str = "") -> Membership:
    """Make `user` a member. Of two who accept at once one wins, by the conditional UPDATE.

    Raises: NotFound, InvitationExpired, InvitationRevoked, InvitationUsed, InvitationForAnother, AlreadyMember.
    """
    invitation = queries.invitation(token)
    check_usable(invitation=invitation, now=now)
    if invitation.email and not people.has_verified(user, invitation.email):
        raise InvitationForAnother(
            _("log in with the e-mail address that the invitation was sent to, or add and verify that address")
        )
    membership = admit(invitation.cooperative, user, invitation.roles, now)
    claimed = Invitation.objects.filter(
        pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True, expires_at__gt=now
    ).update(accepted_by=membership, accepted_at=now)
    if not claimed:
        invitation.refresh_from_db()
        check_usable(invitation=invitation, now=now)
        raise InvitationUsed(_("somebody else has accepted this invitation; ask for another one"))
    if display_name and display_name != user.display_name:
        user.display_name = display_name
        user.save(update_fields=["display_name"])
    live.publish(f"home.{membership.pk}")
    return membership


@transaction.atomic
def revoke_invitation(*, by: Membership, invitation: Invitation, now: datetime) -> Invitation:
    """Take an unused link back. Raises: NotAllowed, NotFound, InvitationUsed, InvitationRevoked."""
    by = permissions.acting(by, "members.invite")
    queries.get_scoped(Invitation.objects.all(), by, pk=invitation.pk)
    revoked = Invitation.objects.filter(pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True).update(
        revoked_at=now
    )
    invitation.refresh_from_db()
    if not revoked and invitation.accepted_at:
        raise InvitationUsed(_("somebody has accepted it; end that membership instead"))
    if not revoked:
        raise InvitationRevoked(_("it has been taken back before"))
    acts.record_act(
        by=by,
        act=StewardAct.Act.REVOKE_INVITATION,
        subject=invitation,
        before={"roles": invitation.roles, "email": invitation.email, "revoked_at": None},
        after={"revoked_at": now.isoformat()},
    )
    return invitation


def check_usable(*, invitation: Invitation, now: datetime) -> None:
    """Raises: InvitationUsed, InvitationRevoked, InvitationExpired, each saying what can be done."""
    again = _("ask a steward of %(cooperative)s for a new link", cooperative=invitation.cooperative)
    if invitation.accepted_at:
        raise InvitationUsed(_("a link works once and this one was accepted; %(again)s", again=again))
    if invitation.revoked_at:
        raise InvitationRevoked(_("a steward has taken this link back; %(again)s", again=again))
    if invitation.expires_at <= now:
        raise InvitationExpired(
            _(
                "it was valid until %(expires_at)s UTC; %(again)s",
                expires_at=f"{invitation.expires_at:%Y-%m-%d %H:%M}",
                again=again,
            )
        )
    sender = invitation.invited_by
    if sender and (sender.left_at or not role_table.may(sender.roles, "members.invite")):
        raise InvitationRevoked(_("whoever made this link may no longer invite; %(again)s", again=again))


def admit(cooperative: Cooperative, user: User, roles: list[str], now: datetime) -> Membership:
    """A new membership, or the old one of a person who had left. Part of the caller's act. Raises: AlreadyMember."""
    returned = Membership.objects.filter(cooperative=cooperative, user=user, left_at__isnull=False).update(
        roles=roles, left_at=None, joined_at=now
    )
    if returned:
        return Membership.objects.get(cooperative=cooperative, user=user)
    try:
        with transaction.atomic():
            return Membership.objects.create(cooperative=cooperative, user=user, roles=roles, joined_at=now)
    except IntegrityError as error:
        raise AlreadyMember(
            _("you belong to %(cooperative)s already; a steward can change your roles", cooperative=cooperative)
        ) from error
