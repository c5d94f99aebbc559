"""Panels of the market page."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from dashboard.panels.panel import Panel, number
from dashboard.queries import books, trends
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer


def _depth(viewer: Viewer, key: str) -> Mapping[str, Any]:
    book = viewers.book(viewer, number(key))
    return {"book": book, "depth": books.depth(viewer, book)}


def _price(viewer: Viewer, key: str) -> Mapping[str, Any]:
    book = viewers.book(viewer, number(key))
    return {"book": book, "day": trends.price_day(viewer.now, book)}


def _trades(viewer: Viewer, key: str) -> Mapping[str, Any]:
    book = viewers.book(viewer, number(key))
    return {"book": book, "trades": books.trades(book)}


def _orders(viewer: Viewer, key: str) -> Mapping[str, Any]:
    book = viewers.book(viewer, number(key))
    return {"book": book, "orders": books.my_orders(viewer, book), "leases": books.my_leases(viewer, book)}


def _of_book(_viewer: Viewer, key: str) -> tuple[str, ...]:
    return (f"market.{key}",)


PANELS = (
    Panel("market-depth", _("Depth"), _depth, _of_book, app="marketplace"),
    Panel("market-price", _("Price"), _price, _of_book, app="marketplace"),
    Panel("market-trades", _("Trades"), _trades, _of_book, app="marketplace"),
    Panel("market-orders", _("My orders"), _orders, _of_book, app="marketplace"),
)
