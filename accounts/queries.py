"""Reads of people, cooperatives and their rules, and the one way to stay inside a cooperative."""

from datetime import datetime
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from accounts.core import policy as rule_book
from accounts.core import tokens
from accounts.models import (
    ApiToken,
    Cooperative,
    CreditIssue,
    Invitation,
    JoinRequest,
    Membership,
    PolicyAdoption,
    PolicyVersion,
    SetupLink,
    User,
)
from common.errors import NotFound
from common.words import said as _

Row = TypeVar("Row", bound=Model)


def scoped(queryset: QuerySet[Row], membership: Membership, through: str = "cooperative") -> QuerySet[Row]:
    """The rows of `queryset` that belong to the membership's cooperative.

    `through` is the path from the row to its cooperative, such as "pool__cooperative". Every query of
    cooperative data that a person or a program can cause passes through here.
    """
    return queryset.filter(**{through: membership.cooperative_id})


def get_scoped(queryset: QuerySet[Row], membership: Membership, through: str = "cooperative", **lookup: object) -> Row:
    """The one row of the membership's cooperative that fits. Raises: NotFound, for outsiders too."""
    row = scoped(queryset, membership, through).filter(**lookup).first()
    if row is None:
        raise NotFound(
            _(
                "there is no such %(verbose_name)s in %(cooperative)s",
                verbose_name=queryset.model._meta.verbose_name,
                cooperative=membership.cooperative,
            )
        )
    return row


def memberships_of(user: User) -> QuerySet[Membership]:
    """Where `user` belongs today, first joined first."""
    return (
        Membership.objects.filter(user=user, left_at__isnull=True)
        .select_related("cooperative", "user")
        .order_by("joined_at", "pk")
    )


def members(cooperative: Cooperative) -> QuerySet[Membership]:
    """Who belongs to `cooperative` today, first joined first."""
    return (
        Membership.objects.filter(cooperative=cooperative, left_at__isnull=True)
        .select_related("user", "cooperative")
        .order_by("joined_at", "pk")
    )


def get_member(membership: Membership, member_id: int) -> Membership:
    """A current member of the same cooperative. Raises: NotFound."""
    return get_scoped(members(membership.cooperative), membership, pk=member_id)


def members_matching(cooperative_id: int, *, search: str = "", role: str | None = None) -> QuerySet[Membership]:
    """Current members whose shown name contains `search` and who have `role`."""
    found = Membership.objects.filter(cooperative_id=cooperative_id, left_at__isnull=True)
    if search:
        shown = Q(user__display_name__icontains=search) | Q(user__display_name="", user__email__icontains=search)
        found = found.filter(shown)
    if role is not None:
        found = found.filter(roles__contains=[role])
    return found.select_related("user", "cooperative").order_by("pk")


def invitations(cooperative_id: int) -> QuerySet[Invitation]:
    """All invitations of a cooperative, newest first."""
    return (
        Invitation.objects.filter(cooperative_id=cooperative_id)
        .select_related("invited_by__user", "accepted_by__user", "cooperative")
        .order_by("-pk")
    )


def invitations_in_state(cooperative_id: int, state: str | None, now: datetime) -> QuerySet[Invitation]:
    """Invitations that are OPEN, EXPIRED, ACCEPTED or REVOKED at `now`; None: all of them."""
    unused = Q(accepted_at__isnull=True, revoked_at__isnull=True)
    conditions = {
        None: Q(),
        "OPEN": unused & Q(expires_at__gt=now),
        "EXPIRED": unused & Q(expires_at__lte=now),
        "ACCEPTED": Q(accepted_at__isnull=False),
        "REVOKED": Q(revoked_at__isnull=False),
    }
    return invitations(cooperative_id).filter(conditions[state])


def open_invitations(cooperative: Cooperative) -> QuerySet[Invitation]:
    """Invitations neither accepted nor revoked, newest first; some may have expired."""
    return (
        Invitation.objects.filter(cooperative=cooperative, accepted_at__isnull=True, revoked_at__isnull=True)
        .select_related("invited_by__user")
        .order_by("-pk")
    )


def waiting_requests(cooperative_id: int) -> QuerySet[JoinRequest]:
    """Who asks to join and waits for a steward, oldest first."""
    rows = JoinRequest.objects.filter(cooperative_id=cooperative_id, state=JoinRequest.State.WAITING)
    return rows.select_related("user", "cooperative").order_by("pk")


def last_request(user: User, cooperative: Cooperative) -> JoinRequest | None:
    """What a person asked last, whatever became of it."""
    return JoinRequest.objects.filter(user=user, cooperative=cooperative).order_by("-pk").first()


def open_cooperatives(user: User) -> list[Cooperative]:
    """Cooperatives that take requests and that the person does not belong to, by name. Two queries."""
    adopted = PolicyVersion.objects.filter(adoption__isnull=False).order_by("cooperative_id", "-number")
    current = {version.cooperative_id: version for version in adopted.distinct("cooperative_id")}
    willing = [pk for pk, version in current.items() if rule_book.stored(version.rules).join_requests_open]
    rows = Cooperative.objects.filter(pk__in=willing)
    return list(rows.exclude(memberships__user=user, memberships__left_at__isnull=True).order_by("name", "pk"))


def cooperative_by_slug(slug: str) -> Cooperative:
    """The cooperative of that short name. Raises: NotFound."""
    found = Cooperative.objects.filter(slug=slug).first()
    if found is None:
        raise NotFound(_("there is no such cooperative here"))
    return found


def invitation(token: str) -> Invitation:
    """The invitation that a link carries, in whatever state. Raises: NotFound."""
    found = (
        Invitation.objects.filter(token_digest=tokens.digest(token))
        .select_related("cooperative", "invited_by__user", "accepted_by")
        .first()
    )
    if found is None:
        raise NotFound(_("there is no such invitation; ask the steward who sent the link for a new one"))
    return found


def setup_link(token: str) -> SetupLink:
    """The link for the first steward that carries `token`. Raises: NotFound."""
    found = SetupLink.objects.filter(token_digest=tokens.digest(token)).first()
    if found is None or Cooperative.objects.exists():
        raise NotFound(_("this link is not valid; `manage.py first_steward_link` prints a new one"))
    return found


def api_tokens(membership: Membership) -> QuerySet[ApiToken]:
    """The member's own tokens that have not been revoked, newest first."""
    return ApiToken.objects.filter(membership=membership, revoked_at__isnull=True).order_by("-pk")


def get_own_token(membership: Membership, token_id: int) -> ApiToken:
    """One of the member's own tokens. Raises: NotFound."""
    token = api_tokens(membership).filter(pk=token_id).first()
    if token is None:
        raise NotFound(_("there is no such token of yours"))
    return token


def current_policy(cooperative_id: int) -> tuple[int, rule_book.Rules]:
    """Number and rules of the version in force. Raises: NotFound."""
    adoption = (
        PolicyAdoption.objects.filter(cooperative_id=cooperative_id)
        .select_related("version")
        .order_by("-number")
        .first()
    )
    if adoption is None:
        raise NotFound(
            _("there is no cooperative %(cooperative_id)s with adopted rules", cooperative_id=cooperative_id)
        )
    return adoption.number, rule_book.stored(adoption.version.rules)


def policy(cooperative_id: int, number: int) -> rule_book.Rules:
    """Rules of one version, adopted or not. Raises: NotFound."""
    return rule_book.stored(policy_version(cooperative_id, number).rules)


def policy_version(cooperative_id: int, number: int) -> PolicyVersion:
    """One version with its adoption, if any. Raises: NotFound."""
    version = policy_history(cooperative_id).filter(number=number).first()
    if version is None:
        raise NotFound(_("there is no version %(number)s of these rules", number=number))
    return version


def policy_history(cooperative_id: int) -> QuerySet[PolicyVersion]:
    """All versions with their adoptions, newest first."""
    return (
        PolicyVersion.objects.filter(cooperative_id=cooperative_id)
        .select_related("adoption__adopted_by__user", "proposed_by__user", "cooperative")
        .order_by("-number")
    )


def credit_issues(cooperative: Cooperative) -> QuerySet[CreditIssue]:
    """Wishes to issue credit and what became of them, newest first."""
    return (
        CreditIssue.objects.filter(cooperative=cooperative)
        .select_related("proposed_by__user", "decided_by__user")
        .order_by("-pk")
    )


def funds(cooperative_id: int) -> dict[str, str]:
    """Ledger addresses of the cooperative's own accounts, by name."""
    names = ("treasury", "assurance", "reserve", "issuance")
    return {name: f"coop:{cooperative_id}:{name}" for name in names}


def issue_targets(cooperative: Cooperative) -> dict[str, Membership | None]:
    """Addresses where new credit may go: treasury, assurance fund (None) and the wallet of each member."""
    own = funds(cooperative.pk)
    return {
        own["treasury"]: None,
        own["assurance"]: None,
        **{membership.wallet: membership for membership in members(cooperative)},
    }
