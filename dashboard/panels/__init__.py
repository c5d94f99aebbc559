"""Live panels: rendered by the same code for the page, for polling and for the socket."""

from typing import Final

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from common import errors
from dashboard.panels import community, home, jobs, machines, market, wallet
from dashboard.panels.panel import KEY, Panel
from dashboard.queries.viewer import Viewer

PANELS: Final[dict[str, Panel]] = {
    panel.name: panel for module in (community, home, jobs, machines, market, wallet) for panel in module.PANELS
}


def find(name: str, key: str) -> Panel:
    """The panel of that name, for a well-formed key. Raises: errors.NotFound."""
    if name not in PANELS or KEY.fullmatch(key) is None:
        raise errors.NotFound
    return PANELS[name]


def topics(name: str, key: str, viewer: Viewer) -> tuple[str, ...]:
    """What the panel listens to. Raises: errors.NotFound when the viewer may not see it."""
    panel = find(name, key)
    panel.read(viewer, key)
    return panel.topics(viewer, key)


def render(name: str, key: str, viewer: Viewer) -> SafeString:
    """The panel as HTML with its frame. Raises: errors.NotFound when the viewer may not see it."""
    panel = find(name, key)
    context = {"viewer": viewer, "key": key, **panel.read(viewer, key)}
    return format_html(
        '<{tag} id="{name}-{key}" class="{css}" data-panel="{name}" data-key="{key}" aria-label="{label}">'
        "{body}</{tag}>",
        tag=panel.tag,
        name=panel.name,
        key=key,
        css=panel.css,
        label=panel.label,
        body=mark_safe(render_to_string(panel.template, context)),  # noqa: S308  the template escaped it
    )
