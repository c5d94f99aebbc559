"""The rows of docs/permissions.md, and the addresses that the platform really has."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.urls import URLPattern, get_resolver

from accounts.core import roles
from config import health
from config.asgi import application

PAGE = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ROW = re.compile(r"^\| ([A-Z, ]+) \| `(/[^`]*)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_MANY = re.compile(r"^\| [A-Z, ]+ \| `/.*$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One row: who may, and what the others get."""

    methods: tuple[str, ...]
    address: str
    who: str
    signed_out: str
    not_allowed: str
    not_theirs: str

    @property
    def ways(self) -> list[tuple[str, bool]]:
        """(permission, only for one's own) of each way to be allowed; empty where no permission is asked for."""
        if self.who == "anyone" or self.who.startswith("person") or self.is_for_nodes:
            return []
        return [
            (way.removesuffix(" with mfa").removesuffix(" as owner"), "as owner" in way)
            for way in self.who.split(" or ")
        ]

    @property
    def is_for_nodes(self) -> bool:
        return self.who in ("node", "node as owner")

    @property
    def is_api(self) -> bool:
        return self.address.startswith("/api/")

    @property
    def elsewhere(self) -> str:
        """For what belongs to another cooperative."""
        return self.not_theirs.split(", ")[0]

    def of_another(self, held: Iterable[str]) -> str:
        """For what belongs to another member of the same cooperative, to somebody with the roles `held`."""
        first, *others = self.not_theirs.split(", ")
        for words in others:
            *_, permission, status = words.split()
            if permission == "here" or roles.may(held, permission):
                return status
        return first


def rows() -> list[Row]:
    """Every row of the page. Raises: AssertionError for a row that has not the form."""
    text = PAGE.read_text(encoding="utf-8")
    found = [
        Row(tuple(methods.split(", ")), address, *(cell.strip() for cell in cells))
        for methods, address, *cells in _ROW.findall(text)
    ]
    assert len(found) == len(_MANY.findall(text)), "a row of docs/permissions.md has not six cells"
    for row in found:
        for permission, _ in row.ways:
            assert permission in roles.PERMISSIONS, f"{row.address}: {permission} is no permission"
    return found


def row_of(address: str, method: str, table: list[Row]) -> Row | None:
    """The row of exactly that address, else the nearest `**` above it."""
    exact = [row for row in table if row.address == address]
    above = sorted(
        (row for row in table if row.address.endswith("**") and address.startswith(row.address[:-2])),
        key=lambda row: -len(row.address),
    )
    return next((row for row in exact or above if method in row.methods), None)


def addresses() -> list[str]:
    """Every address that answers HTTP, as the page writes it."""
    found = [*health.PAGES]

    def walk(patterns: list, prefix: str) -> None:
        for entry in patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                found.append(readable(route))
            else:
                walk(entry.url_patterns, route)

    walk(get_resolver().url_patterns, "/")
    return found


def sockets() -> list[str]:
    """Every address that takes a WebSocket; the last route catches what is none."""
    *routes, _ = application.application_mapping["websocket"].routes
    return [readable("/" + str(route.pattern)) for route in routes]


def readable(route: str) -> str:
    """`/jobs/<job_id>/` of a route or a regular expression."""
    text = re.sub(r"\(\?P(<\w+>)(?:[^()]|\([^()]*\))*\)", r"\1", route)
    text = re.sub(r"<\w+:(\w+)>", r"<\1>", text)
    return re.sub(r"[\^$]|\\Z", "", text).replace("\\", "")
