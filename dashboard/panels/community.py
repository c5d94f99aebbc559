"""Panels of the cooperative's page: what its members brought in, and its treasury."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from common import errors
from dashboard.panels.panel import Panel, number
from dashboard.queries import community
from dashboard.queries.viewer import Viewer


def _own(viewer: Viewer, key: str) -> Viewer:
    if number(key) != viewer.cooperative_id or not viewer.may("cooperative.view"):
        raise errors.NotFound
    return viewer


def _treasury(viewer: Viewer, key: str) -> Mapping[str, Any]:
    return {"treasury": community.treasury(_own(viewer, key))}


def _contributions(viewer: Viewer, key: str) -> Mapping[str, Any]:
    return {"contributions": community.contributions(_own(viewer, key)), "may_add": viewer.may("nodes.add")}


def _by_and_by(_viewer: Viewer, _key: str) -> tuple[str, ...]:
    """Thirty days do not change in a second: they are fresh when the page is, and when everything is rendered anew."""
    return ()


PANELS = (
    Panel("cooperative-contributions", _("What members brought in"), _contributions, _by_and_by, app="accounts"),
    Panel("cooperative-treasury", _("Treasury"), _treasury, _by_and_by, app="accounts"),
)
