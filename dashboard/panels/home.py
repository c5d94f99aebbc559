"""Panels of the home page and of the frame."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from dashboard.panels.panel import Panel, number
from dashboard.queries import attention, books, jobs, machines, money, trends
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer


def _purse(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"available_micro": money.available(viewer)}


def _attention(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"items": attention.items(viewer)}


def _jobs(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"rows": jobs.in_flight(viewer), "may_submit": viewer.may("jobs.submit")}


def _nodes(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"rows": machines.operated(viewer), "may_add": viewer.may("nodes.add")}


def _wallet(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"purse": money.purse(viewer)}


def _trades(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    return {"trades": books.lately_traded(viewer)}


def _pulse(viewer: Viewer, key: str) -> Mapping[str, Any]:
    viewers.own_wallet(viewer, number(key))
    use, prices = trends.pulse(viewer)
    return {"use": use, "prices": prices}


def _market_topics(viewer: Viewer, key: str) -> tuple[str, ...]:
    return tuple(f"market.{book.pk}" for book in books.books(viewer))


PANELS = (
    Panel("purse", _("Available credits"), _purse, lambda _viewer, key: (f"wallet.{key}",), css="num", tag="span"),
    Panel(
        "home-attention",
        _("Needs your attention"),
        _attention,
        lambda viewer, key: (f"home.{key}", f"jobs.{key}", f"nodes.{viewer.cooperative_id}"),
        css="attention",
    ),
    Panel("home-jobs", _("Jobs in flight"), _jobs, lambda _viewer, key: (f"jobs.{key}", f"home.{key}")),
    Panel(
        "home-nodes",
        _("Your nodes"),
        _nodes,
        lambda viewer, key: (f"nodes.{viewer.cooperative_id}", f"wallet.{key}", f"home.{key}"),
    ),
    Panel("home-wallet", _("Wallet"), _wallet, lambda _viewer, key: (f"wallet.{key}", f"jobs.{key}", f"home.{key}")),
    Panel("home-pulse", _("Pulse of the grid"), _pulse, _market_topics),
    Panel("home-trades", _("Last trades"), _trades, _market_topics),
)
