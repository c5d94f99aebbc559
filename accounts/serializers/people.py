"""Who one is, where one belongs, who else does, and how others are let in."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from accounts.core import roles as role_table
from accounts.models import ApiToken, Cooperative, Invitation, Membership
from common.bodies import INVISIBLE
from common.paging import PageQuery
from opengrid.messages import Message, Positive, timestamp

Role = Literal["MEMBER", "OPERATOR", "STEWARD", "AUDITOR"]
Roles = Annotated[list[Role], Field(min_length=1, max_length=4)]
_IN_ADDRESS = rf'[^@,;<>"{INVISIBLE}]'
Email = Annotated[
    str, StringConstraints(pattern=rf'^{_IN_ADDRESS}{{1,64}}@{_IN_ADDRESS}{{1,180}}\.[^@,;<>".{INVISIBLE}]{{2,60}}$')
]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200)]
DisplayName = Annotated[str, StringConstraints(pattern=rf"^[^{INVISIBLE}]([^\r\n\t\x00]{{0,98}}[^{INVISIBLE}])?$")]


class CooperativeLine(Message):
    """A cooperative in short."""

    id: Positive
    name: str
    slug: str


class MembershipView(Message):
    """One of the asker's own memberships."""

    id: Positive
    cooperative: CooperativeLine
    roles: list[str]
    joined_at: str
    wallet: str


class TokenInUse(Message):
    """The API token that asks."""

    id: Positive
    name: str
    scopes: list[str]
    expires_at: str | None


class MeReply(Message):
    """Who asks. `acting_as` is the membership that other addresses act for; null without any."""

    email: str
    display_name: str
    memberships: list[MembershipView]
    acting_as: Positive | None
    permissions: list[str]
    token: TokenInUse | None


class CooperativeListReply(Message):
    """The cooperatives the asker belongs to."""

    cooperatives: list[CooperativeLine]
    next: str | None


class CooperativeReply(Message):
    """A cooperative of the asker's."""

    id: Positive
    name: str
    slug: str
    founded_at: str
    policy_number: Positive
    own_roles: list[str]


class MembersQuery(PageQuery):
    """Which members."""

    search: Annotated[str, StringConstraints(max_length=100)] = Field("", description="Part of the shown name.")
    role: Role | None = Field(None, description="Only members with this role.")


class MemberView(Message):
    """A member as the others see them. `version` goes into If-Match when the roles are changed."""

    id: Positive
    name: str
    roles: list[str]
    joined_at: str
    wallet: str
    is_self: bool
    version: str


class MemberListReply(Message):
    """Current members, first joined first."""

    members: list[MemberView]
    next: str | None


class RolesRequest(Message):
    """Exactly these roles from now on; `reason` goes into the audit trail."""

    roles: Roles
    reason: Annotated[str, StringConstraints(max_length=500)] = ""


class InvitationsQuery(PageQuery):
    """Which invitations."""

    state: Literal["OPEN", "EXPIRED", "ACCEPTED", "REVOKED"] | None = Field(
        None, description="Only those in this state."
    )


class InvitationRequest(Message):
    """A new invitation; with `email`, only whoever has verified that address can accept it."""

    roles: Roles
    email: Email | None = None


class InvitationView(Message):
    """An invitation without its secret."""

    id: Positive
    roles: list[str]
    email: str
    state: str
    invited_by: str | None
    created_at: str
    expires_at: str
    accepted_by: str | None


class InvitationListReply(Message):
    """Invitations, newest first."""

    invitations: list[InvitationView]
    next: str | None


class InvitationReply(Message):
    """A new invitation. `token` and `link` are shown this once."""

    invitation: InvitationView
    token: str
    link: str


class AcceptRequest(Message):
    """The token of an invitation."""

    token: Secret
    display_name: DisplayName | None = None


class NewcomerRequest(Message):
    """An invitation and the account of a new person, whose first program gets a token with `scopes`."""

    token: Secret
    email: Email
    password: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    display_name: DisplayName
    scopes: Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(min_length=1, max_length=20)]


class NewcomerReply(Message):
    """The membership and the secret API token, which is shown this once."""

    membership: MembershipView
    api_token: str
    scopes: list[str]


class ApiTokenRequest(Message):
    """A new API token of the acting membership."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    scopes: Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(min_length=1, max_length=20)]
    valid_days: Annotated[int, Field(ge=1, le=365)] = 90


class ApiTokenView(Message):
    """A token without its secret."""

    id: Positive
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class ApiTokenListReply(Message):
    """The member's own tokens, newest first."""

    tokens: list[ApiTokenView]
    next: str | None


class ApiTokenReply(Message):
    """A new token. `secret` is shown this once."""

    token: ApiTokenView
    secret: str


def cooperative_line(cooperative: Cooperative) -> CooperativeLine:
    """A cooperative in short."""
    return CooperativeLine(id=cooperative.pk, name=cooperative.name, slug=cooperative.slug)


def cooperative_reply(membership: Membership, policy_number: int) -> CooperativeReply:
    """A cooperative as one of its members sees it."""
    found = membership.cooperative
    return CooperativeReply(
        id=found.pk,
        name=found.name,
        slug=found.slug,
        founded_at=timestamp(found.founded_at),
        policy_number=policy_number,
        own_roles=membership.roles,
    )


def membership_view(membership: Membership) -> MembershipView:
    """One of the asker's own."""
    return MembershipView(
        id=membership.pk,
        cooperative=cooperative_line(membership.cooperative),
        roles=membership.roles,
        joined_at=timestamp(membership.joined_at),
        wallet=membership.wallet,
    )


def token_in_use(token: ApiToken) -> TokenInUse:
    """The token that asks."""
    return TokenInUse(id=token.pk, name=token.name, scopes=token.scopes, expires_at=_maybe(token.expires_at))


def permissions_of(membership: Membership | None, token: ApiToken | None) -> list[str]:
    """What roles and scopes together allow, by name."""
    if membership is None:
        return []
    if token is None:
        return sorted(name for name in role_table.PERMISSIONS if role_table.may(membership.roles, name))
    return sorted(name for name in role_table.PERMISSIONS if role_table.token_may(membership.roles, token.scopes, name))


def member_view(member: Membership, *, viewer: Membership) -> MemberView:
    """A member as `viewer` sees them."""
    return MemberView(
        id=member.pk,
        name=str(member.user),
        roles=member.roles,
        joined_at=timestamp(member.joined_at),
        wallet=member.wallet,
        is_self=member.pk == viewer.pk,
        version=member.version,
    )


def invitation_view(invitation: Invitation, now: datetime) -> InvitationView:
    """An invitation of `queries.invitations`."""
    return InvitationView(
        id=invitation.pk,
        roles=invitation.roles,
        email=invitation.email,
        state=_state(invitation, now),
        invited_by=str(invitation.invited_by.user) if invitation.invited_by else None,
        created_at=timestamp(invitation.created_at),
        expires_at=timestamp(invitation.expires_at),
        accepted_by=str(invitation.accepted_by.user) if invitation.accepted_by else None,
    )


def token_view(token: ApiToken) -> ApiTokenView:
    """A token without its secret."""
    return ApiTokenView(
        id=token.pk,
        name=token.name,
        prefix=token.prefix,
        scopes=token.scopes,
        created_at=timestamp(token.created_at),
        expires_at=_maybe(token.expires_at),
        last_used_at=_maybe(token.last_used_at),
    )


def _state(invitation: Invitation, now: datetime) -> str:
    if invitation.accepted_at:
        return "ACCEPTED"
    if invitation.revoked_at:
        return "REVOKED"
    return "EXPIRED" if invitation.expires_at <= now else "OPEN"


def _maybe(at: datetime | None) -> str | None:
    return timestamp(at) if at else None
