"""On whose behalf a page is read, and at which moment; and what that member alone may see."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from accounts.core import roles
from accounts.models import Membership
from common import errors
from marketplace.models import Book, Order
from nodes.models import JoinToken

Row = TypeVar("Row")


@dataclass(frozen=True)
class Viewer:
    """A member at a moment."""

    membership: Membership
    now: datetime
    _known: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def cooperative_id(self) -> int:
        """The cooperative that is looked at."""
        return self.membership.cooperative_id

    @property
    def day_began_at(self) -> datetime:
        """Midnight UTC of the day: what "today" means on every page."""
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)

    def once(self, key: Hashable, read: Callable[[], Row]) -> Row:
        """What `read` gives, read once for a page or a message: its panels speak of the same moment."""
        if key not in self._known:
            self._known[key] = read()
        found: Row = self._known[key]
        return found

    def may(self, permission: str) -> bool:
        """Whether the member's roles give `permission`."""
        return roles.may(self.membership.roles, permission)


def waiting_tokens(viewer: Viewer) -> list[JoinToken]:
    """Own join tokens whose machine has not come yet and still may, newest first; at most 20."""
    waiting = JoinToken.objects.filter(membership=viewer.membership, used_at=None, expires_at__gt=viewer.now)
    return list(waiting.order_by("-pk")[:20])


def join_token(viewer: Viewer, token_id: int) -> JoinToken:
    """One join token that the viewer made. Raises: errors.NotFound."""
    rows = JoinToken.objects.filter(membership=viewer.membership).select_related("used_by")
    return found(rows.filter(pk=token_id).first())


def book(viewer: Viewer, book_id: int) -> Book:
    """One book of a pool that the viewer's cooperative shares. Raises: errors.NotFound."""
    rows = Book.objects.filter(pool__cooperatives=viewer.cooperative_id).select_related("resource_class", "pool")
    return found(rows.filter(pk=book_id).first())


def own_order(viewer: Viewer, order_id: int) -> Order:
    """One order that the viewer placed. Raises: errors.NotFound."""
    return found(Order.objects.filter(pk=order_id, placed_by=viewer.membership).first())


def own_wallet(viewer: Viewer, membership_id: int) -> Membership:
    """The viewer, if it is the own wallet that is asked for. Raises: errors.NotFound."""
    if membership_id != viewer.membership.pk:
        raise errors.NotFound
    return viewer.membership


def found(row: Row | None) -> Row:
    """The row, or the refusal that tells nothing. Raises: errors.NotFound."""
    if row is None:
        raise errors.NotFound
    return row
