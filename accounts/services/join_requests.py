"""Asking to join a cooperative whose rules allow it, and the stewards' answer."""

from datetime import datetime

from django.db import IntegrityError, transaction

from accounts import queries
from accounts.core import roles as role_table
from accounts.models import Cooperative, JoinRequest, Membership, StewardAct, User
from accounts.services import acts, invitations, permissions
from common import live
from common.errors import Conflict, Forbidden, Invalid, NotFound
from common.words import said as _

MOST_CHARACTERS = 500


class JoinRequestsClosed(Forbidden):
    """The rules of the cooperative admit by invitation alone."""

    code = "join_requests_closed"
    title = _("This cooperative takes new members by invitation alone")


class AlreadyAsked(Conflict):
    """A request of this person waits already."""

    code = "already_asked"
    title = _("Your request is waiting already")


class MessageNeeded(Invalid):
    """The stewards need a few words to decide on."""

    code = "message_needed"
    title = _("A few words are needed")


class RequestDecided(Conflict):
    """The request does not wait any more."""

    code = "join_request_decided"
    title = _("This request has been decided already")


@transaction.atomic
def ask_to_join(*, user: User, cooperative: Cooperative, message: str, now: datetime) -> JoinRequest:
    """Ask the stewards. Raises: JoinRequestsClosed, invitations.AlreadyMember, AlreadyAsked, MessageNeeded."""
    _number, rules = queries.current_policy(cooperative.pk)
    if not rules.join_requests_open:
        raise JoinRequestsClosed(_("ask a steward of %(cooperative)s for an invitation link", cooperative=cooperative))
    words = message.strip()
    if not 0 < len(words) <= MOST_CHARACTERS:
        raise MessageNeeded(
            _(
                "found %(count)s characters; accepted are 1 to %(most_characters)s",
                count=len(words),
                most_characters=MOST_CHARACTERS,
            ),
            extra={"field": "message"},
        )
    if queries.memberships_of(user).filter(cooperative=cooperative).exists():
        raise invitations.AlreadyMember(_("you belong to %(cooperative)s already", cooperative=cooperative))
    try:
        with transaction.atomic():
            request = JoinRequest.objects.create(cooperative=cooperative, user=user, message=words, asked_at=now)
    except IntegrityError as error:
        raise AlreadyAsked(
            _("the stewards of %(cooperative)s have it before them; wait for their answer", cooperative=cooperative)
        ) from error
    _tell_stewards(cooperative)
    return request


@transaction.atomic
def accept_request(*, by: Membership, request: JoinRequest, now: datetime) -> Membership:
    """Make the person a member. Raises: NotAllowed, NotFound, RequestDecided, invitations.AlreadyMember."""
    by = permissions.acting(by, "members.invite")
    request = _decided(by, request, JoinRequest.State.ACCEPTED, "", now)
    membership = invitations.admit(request.cooperative, request.user, [role_table.MEMBER], now)
    acts.record_act(
        by=by,
        act=StewardAct.Act.ACCEPT_JOIN_REQUEST,
        subject=request,
        before={"state": JoinRequest.State.WAITING},
        after={"state": request.state, "roles": membership.roles},
    )
    return membership


@transaction.atomic
def decline_request(*, by: Membership, request: JoinRequest, reason: str, now: datetime) -> JoinRequest:
    """Say no, with words that the person reads. Raises: NotAllowed, NotFound, acts.ReasonNeeded, RequestDecided."""
    by = permissions.acting(by, "members.invite")
    why = acts.checked_reason(reason)
    request = _decided(by, request, JoinRequest.State.DECLINED, why, now)
    acts.record_act(
        by=by,
        act=StewardAct.Act.DECLINE_JOIN_REQUEST,
        subject=request,
        before={"state": JoinRequest.State.WAITING},
        after={"state": request.state},
        reason=why,
    )
    return request


@transaction.atomic
def withdraw_request(*, user: User, request: JoinRequest, now: datetime) -> JoinRequest:
    """Take one's own request back. Raises: NotFound, RequestDecided."""
    if request.user_id != user.pk:
        raise NotFound(_("there is no such request of yours"))
    changed = JoinRequest.objects.filter(pk=request.pk, state=JoinRequest.State.WAITING).update(
        state=JoinRequest.State.WITHDRAWN, decided_at=now
    )
    request.refresh_from_db()
    if not changed:
        raise RequestDecided(_("it is %(state)s", state=request.state.lower()))
    _tell_stewards(request.cooperative)
    return request


def _decided(by: Membership, request: JoinRequest, state: str, reason: str, now: datetime) -> JoinRequest:
    """Of two stewards who decide at once one wins, by the conditional UPDATE."""
    own = queries.get_scoped(JoinRequest.objects.all(), by, pk=request.pk)
    changed = JoinRequest.objects.filter(pk=own.pk, state=JoinRequest.State.WAITING).update(
        state=state, reason=reason, decided_by=by, decided_at=now
    )
    found = JoinRequest.objects.select_related("cooperative", "user").get(pk=own.pk)
    if not changed:
        raise RequestDecided(_("it is %(state)s", state=found.state.lower()))
    _tell_stewards(found.cooperative)
    return found


def _tell_stewards(cooperative: Cooperative) -> None:
    for member in queries.members(cooperative).filter(roles__contains=[role_table.STEWARD]):
        live.publish(f"home.{member.pk}")
