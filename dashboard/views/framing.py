"""The frame around every page: who looks, for which cooperative. Nothing is read until a template asks."""

from functools import cached_property
from typing import Any

from django.http import HttpRequest

from accounts import authentication
from accounts import queries as accounts
from accounts.models import Membership
from common import clock
from dashboard.queries.viewer import Viewer


class Frame:
    """What base.html shows; safe for signed-out people, for people without cooperative and for error pages."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._entered: Viewer | None = getattr(request, "viewer", None)

    @cached_property
    def memberships(self) -> list[Membership]:
        """Where the person belongs; empty when signed out."""
        user = getattr(self._request, "user", None)
        if user is None or not user.is_authenticated:
            return []
        return list(accounts.memberships_of(user))

    @cached_property
    def membership(self) -> Membership | None:
        """The one the session acts for, None for those who have none."""
        if self._entered is not None:
            return self._entered.membership
        if not self.memberships:
            return None
        return authentication.current_membership(self._request)

    @cached_property
    def viewer(self) -> Viewer:
        """On whose behalf panels are read. Only where `membership` is there."""
        if self._entered is not None:
            return self._entered
        assert self.membership is not None
        return Viewer(self.membership, clock.database_now())


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context of the frame around every page."""
    return {"frame": Frame(request)}
