"""The check that every act of a member begins with, here and in the apps above."""

from accounts.core import roles
from accounts.models import Membership
from common import locks
from common.errors import Conflict, Forbidden, NotFound
from common.words import said as _


class NotAllowed(Forbidden):
    """The member's roles do not include this permission."""

    code = "role_required"
    title = _("Your role does not allow this")


class SecondStewardNeeded(Conflict):
    """Whoever proposed something about money or rules cannot also decide it."""

    code = "second_steward_needed"
    title = _("A second steward has to decide this")


def require(membership: Membership, permission: str) -> Membership:
    """The membership itself, when it is current and may. Raises: NotFound (has left), NotAllowed."""
    if membership.left_at is not None:
        raise NotFound(_("%(membership)s has ended", membership=membership))
    if not roles.may(membership.roles, permission):
        accepted = [role for role in roles.ALL if role in roles.PERMISSIONS[permission]]
        raise NotAllowed(
            _(
                "your roles here are %(roles)s; %(permission)s is for: %(accepted)s",
                roles=", ".join(membership.roles),
                permission=permission,
                accepted=", ".join(accepted) or "nobody",
            ),
            extra={"permission": permission, "accepted_roles": accepted},
        )
    return membership


def acting(membership: Membership, permission: str) -> Membership:
    """Lock the cooperative and read the membership anew, so that a role taken away counts at once.

    Raises: NotFound, NotAllowed, locks.NotInTransaction.
    """
    locks.lock(locks.Space.COOPERATIVE, [membership.cooperative_id])
    current = Membership.objects.select_related("cooperative", "user").get(pk=membership.pk)
    return require(current, permission)


def check_second(by: Membership, proposer: Membership) -> None:
    """Two stewards are two people, and both still stewards. Raises: SecondStewardNeeded."""
    if by.pk == proposer.pk:
        raise SecondStewardNeeded(_("you proposed this yourself; another steward has to decide it"))
    if proposer.left_at is not None or roles.STEWARD not in proposer.roles:
        raise SecondStewardNeeded(
            _(
                "%(proposer)s proposed this and is no longer a steward; a steward has to propose it anew",
                proposer=proposer.user,
            )
        )
