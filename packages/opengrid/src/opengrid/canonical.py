"""Canonical JSON bytes: the only bytes that are ever signed or hashed as a document.

The encoding is RFC 8785 (JSON Canonicalization Scheme) restricted to values whose form cannot be
disputed: objects with string keys, arrays, strings, booleans, null and integers of at most 2**63-1
in magnitude. Floats are refused; fractions travel as scaled integers or as strings.
"""

import json
from typing import Any

MAX_INTEGER = 2**63 - 1
MAX_DEPTH = 64


class NotCanonical(ValueError):
    """The value, or the bytes, has no canonical form; the message says where and why."""


def canonical_bytes(value: Any) -> bytes:
    """Return the canonical UTF-8 JSON of `value`. Raises: NotCanonical."""
    _check(value, "$", 0)
    return json.dumps(_sorted(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def parse_canonical(data: bytes) -> Any:
    """Parse bytes that are canonical already; no second spelling passes. Raises: NotCanonical."""
    try:
        value = json.loads(data, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"not JSON: {error}") from error
    if canonical_bytes(value) != data:
        raise NotCanonical("JSON is not in canonical form (key order, spacing, duplicates or escapes)")
    return value


def _no_float(text: str) -> Any:
    raise NotCanonical(f"found the number {text[:40]}; only integers are accepted")


def _check(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotCanonical(f"{where}: nested deeper than {MAX_DEPTH} levels")
    match value:
        case None | bool():
            return
        case int():
            if abs(value) > MAX_INTEGER:
                raise NotCanonical(f"{where}: an integer is beyond 63 bits")
        case str():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise NotCanonical(f"{where}: text is not valid Unicode") from error
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise NotCanonical(f"{where}: key {key!r} is not text")
                _check(key, where, depth)
                _check(item, f"{where}.{key}", depth + 1)
        case list() | tuple():
            for index, item in enumerate(value):
                _check(item, f"{where}[{index}]", depth + 1)
        case _:
            raise NotCanonical(f"{where}: {type(value).__name__} has no canonical form")


def _sorted(value: Any) -> Any:
    """RFC 8785 orders keys by UTF-16 code units."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _sorted(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value
