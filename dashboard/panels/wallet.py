"""Panels of the wallet."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from dashboard.panels.panel import Panel, number
from dashboard.queries import money
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer


def _figures(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"purse": money.purse(viewer)}


def _held(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"held": money.held(viewer)}


def _statement(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    lines, after = money.statement(viewer)
    return {"lines": lines, "after": after}


def _of_wallet(_viewer: Viewer, key: str) -> tuple[str, ...]:
    return (f"wallet.{key}", f"jobs.{key}")


PANELS = (
    Panel("wallet-figures", _("Your credits"), _figures, _of_wallet, css="panel figures", app="ledger"),
    Panel("wallet-held", _("Held"), _held, _of_wallet, app="ledger"),
    Panel("wallet-statement", _("Statement"), _statement, lambda _viewer, key: (f"wallet.{key}",), app="ledger"),
)
