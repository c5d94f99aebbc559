"""Founding a cooperative, changing who is what in it, leaving it."""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts import queries
from accounts.core import policy, roles
from accounts.models import (
    ApiToken,
    Cooperative,
    Membership,
    PolicyAdoption,
    PolicyVersion,
    StewardAct,
    User,
)
from accounts.services import acts, permissions
from common import live, versions
from common.errors import Conflict, Invalid
from common.words import said as _


class SlugTaken(Conflict):
    """Another cooperative has this short name."""

    code = "slug_taken"
    title = _("This short name is taken")


class UnknownRole(Invalid):
    """The roles named are none or not all known."""

    code = "unknown_role"
    title = _("These roles do not exist")


class LastSteward(Conflict):
    """Without a steward nobody could act for the cooperative any more."""

    code = "last_steward"
    title = _("A cooperative keeps at least one steward")


@transaction.atomic
def found_cooperative(*, name: str, slug: str, founder: User, now: datetime) -> Cooperative:
    """Found a cooperative whose first member, operator and steward is `founder`; adopt policy 1.

    Raises: SlugTaken.
    """
    try:
        with transaction.atomic():
            cooperative = Cooperative.objects.create(name=name, slug=slug, founded_at=now)
    except IntegrityError as error:
        raise SlugTaken(
            _("%(slug)s is taken by another cooperative; choose another short name", slug=repr(slug))
        ) from error
    membership = Membership.objects.create(
        cooperative=cooperative,
        user=founder,
        roles=[roles.MEMBER, roles.OPERATOR, roles.STEWARD],
        joined_at=now,
    )
    version = PolicyVersion.objects.create(
        cooperative=cooperative,
        number=1,
        replaces=0,
        rules=policy.as_dict(policy.Rules()),
        reason="the rules of a new cooperative",
        proposed_by=membership,
        proposed_at=now,
    )
    PolicyAdoption.objects.create(
        version=version,
        cooperative=cooperative,
        number=1,
        replaces=0,
        proposed_by=membership,
        adopted_by=membership,
        adopted_at=now,
    )
    return cooperative


def known_roles(wanted: Iterable[str]) -> list[str]:
    """The roles in the order of the table, each once. Raises: UnknownRole."""
    found = set(wanted)
    if not found or not found.issubset(roles.ALL):
        raise UnknownRole(
            _(
                "found %(found)s; accepted are one or more of %(all)s",
                found=", ".join(sorted(found)) or "no role",
                all=", ".join(roles.ALL),
            )
        )
    return [role for role in roles.ALL if role in found]


@transaction.atomic
def set_roles(
    *,
    by: Membership,
    membership: Membership,
    roles: Iterable[str],
    reason: str = "",
    version: str | None = None,
) -> Membership:
    """Give a member exactly these roles; with `version`, only if nobody has changed them since it was read.

    Raises: NotAllowed, NotFound, UnknownRole, LastSteward, versions.ChangedMeanwhile.
    """
    wanted = known_roles(roles)
    by = permissions.acting(by, "members.roles")
    membership = _fellow(by, membership)
    versions.check(version, membership.version)
    _keep_a_steward(membership, wanted)
    before, membership.roles = membership.roles, wanted
    if before == wanted:
        return membership
    membership.save(update_fields=["roles"])
    acts.record_act(
        by=by,
        act=StewardAct.Act.SET_ROLES,
        subject=membership,
        before={"roles": before},
        after={"roles": wanted},
        reason=reason,
    )
    live.publish(f"home.{membership.pk}")
    return membership


@transaction.atomic
def leave(*, membership: Membership, now: datetime, by: Membership | None = None, reason: str = "") -> Membership:
    """End a membership and revoke its API tokens; the wallet stays as it is. A steward may do it for another.

    Raises: NotFound, NotAllowed, LastSteward.
    """
    own = by is None or by.pk == membership.pk
    actor = permissions.acting(by or membership, "cooperative.view" if own else "members.roles")
    membership = _fellow(actor, membership)
    _keep_a_steward(membership, [])
    membership.left_at = now
    membership.save(update_fields=["left_at"])
    ApiToken.objects.filter(membership=membership, revoked_at__isnull=True).update(revoked_at=now)
    if not own:
        acts.record_act(
            by=actor,
            act=StewardAct.Act.END_MEMBERSHIP,
            subject=membership,
            before={"roles": membership.roles, "left_at": None},
            after={"roles": [], "left_at": now.isoformat()},
            reason=reason,
        )
    return membership


def _fellow(by: Membership, membership: Membership) -> Membership:
    """The membership as it is now in the same cooperative. Raises: NotFound."""
    return queries.get_scoped(
        Membership.objects.select_related("cooperative", "user").filter(left_at__isnull=True),
        by,
        pk=membership.pk,
    )


def _keep_a_steward(membership: Membership, wanted: list[str]) -> None:
    if roles.STEWARD not in membership.roles or roles.STEWARD in wanted:
        return
    others = queries.members(membership.cooperative).exclude(pk=membership.pk)
    if not others.filter(roles__contains=[roles.STEWARD]).exists():
        raise LastSteward(
            _(
                "%(membership)s is the only steward of %(cooperative)s; make another member a steward first",
                membership=membership.user,
                cooperative=membership.cooperative,
            )
        )
