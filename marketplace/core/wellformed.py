"""Checks of plain values where they enter the book.

A value that fails here is a mistake of the calling program, never of a member: what a member may
get wrong is answered with a typed reason by the book itself.
"""

import re
from collections.abc import Mapping
from typing import Any

MAX_WHOLE = 2**63 - 1  # what canonical bytes and a database bigint can hold
_CODE = re.compile(r"[a-z][a-z0-9_]*")


class Malformed(ValueError):
    """A value that no correct caller can produce; nothing was changed."""


def whole(name: str, value: object, *, minimum: int) -> None:
    """Refuse all but an int (a bool is none) from `minimum` to 63 bits. Raises: Malformed."""
    if type(value) is not int or not minimum <= value <= MAX_WHOLE:
        raise Malformed(f"{name} is {value!r}; it must be a whole number, at least {minimum}")


def flag(name: str, value: object) -> None:
    """Refuse what is not a bool. Raises: Malformed."""
    if type(value) is not bool:
        raise Malformed(f"{name} is {value!r}; it must be true or false")


def text(name: str, value: object) -> None:
    """Refuse what is not a string with something in it. Raises: Malformed."""
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is {value!r}; it must be a string that is not empty")


def texts(name: str, value: object) -> None:
    """Refuse what is not a frozenset of strings. Raises: Malformed."""
    if not isinstance(value, frozenset):
        raise Malformed(f"{name} is {value!r}; it must be a frozenset of strings")
    for element in value:
        text(f"an element of {name}", element)


def code(name: str, value: object) -> None:
    """Refuse what is not a typed reason in lower_snake. Raises: Malformed."""
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        raise Malformed(f"{name} is {value!r}; it must be a code such as cancelled_by_owner")


def keys(data: object, *expected: str) -> Mapping[str, Any]:
    """Return `data` if it is a mapping with exactly the `expected` keys. Raises: Malformed."""
    if not isinstance(data, Mapping):
        raise Malformed(f"found {data!r}; a mapping with the keys {expected} is expected")
    if set(data) != set(expected):
        raise Malformed(f"found the keys {sorted(map(str, data))}; expected {sorted(expected)}")
    return data


def listed(name: str, value: object) -> frozenset[str]:
    """Turn a JSON list, as written by `sorted`, back into a frozenset. Raises: Malformed."""
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise Malformed(f"{name} is {value!r}; it must be a list of strings")
    if len(set(value)) < len(value):
        raise Malformed(f"{name} is {value!r}; no string may be there twice")
    return frozenset(value)
