"""Bodies of requests, read within limits and parsed strictly, for every API of the platform.

A signed or counted body is never guessed at: no duplicate keys, no NaN, no unknown fields.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import pydantic
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from rest_framework.request import Request

from common.errors import AppError, Invalid
from common.words import said as _

JSON_LIMIT_BYTES: Final = 1024 * 1024
CHUNK_BYTES: Final = 64 * 1024
FAULTS_SHOWN: Final = 20
INVISIBLE: Final = r"\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff"
"""Spaces and controls for a class of characters, since the dialects of patterns mean different ones by `\\s`."""

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_Message = TypeVar("_Message", bound=pydantic.BaseModel)


class BodyTooLarge(AppError):
    """The body is longer than this address takes."""

    code = "body_too_large"
    status = 413
    title = _("The body is too large")


class BodyTruncated(AppError):
    """The body ended before, or after, the length its header announced."""

    code = "body_truncated"
    status = 400
    title = _("The body does not have the announced length")


class LengthRequired(AppError):
    """The request does not say how long its body is."""

    code = "length_required"
    status = 411
    title = _("A Content-Length is needed")


class NotJson(AppError):
    """The body has another content type."""

    code = "not_json"
    status = 415
    title = _("This content type is not accepted")


class MalformedJson(AppError):
    """The body is not one strict JSON document."""

    code = "malformed_json"
    status = 400
    title = _("The body is not valid JSON")


class InvalidMessage(Invalid):
    """The document is JSON, but not this message. `errors` lists field, code and words."""

    code = "invalid_message"
    title = _("The message cannot be accepted")


class InvalidQuery(Invalid):
    """The query string has names or values that the address does not take. `errors` lists them."""

    code = "invalid_query"
    title = _("The query cannot be accepted")


def announced_length(request: HttpRequest | Request, limit_bytes: int) -> int | None:
    """Length from the Content-Length header, None without one.

    Raises: BodyTooLarge when it is beyond `limit_bytes`, LengthRequired when it is no number.
    """
    text = request.META.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if re.fullmatch(r"[0-9]{1,18}", text) is None:
        raise LengthRequired(f"found the Content-Length {text[:40]!r}; accepted is a number of bytes")
    if int(text) > limit_bytes:
        raise _too_large(f"{int(text)} bytes were announced", limit_bytes)
    return int(text)


def read_body(request: HttpRequest | Request, limit_bytes: int = JSON_LIMIT_BYTES) -> bytes:
    """The whole body, at most `limit_bytes`; it may be asked for again.

    Raises: BodyTooLarge, LengthRequired for a chunked body, BodyTruncated.
    """
    length = announced_length(request, limit_bytes)
    if length is None and request.META.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired("the body is chunked; accepted are bodies with a Content-Length")
    if not length:
        return b""
    try:
        body: bytes = request.body
    except UnreadablePostError as error:
        raise BodyTruncated(f"the connection ended before {length} bytes had come") from error
    _check_length(len(body), length)
    return body


def read_stream(request: HttpRequest | Request, limit_bytes: int) -> Iterator[bytes]:
    """Chunks of the body as it comes in, never more than `limit_bytes` in total.

    Raises while it is read: BodyTooLarge, BodyTruncated, LengthRequired.
    """
    length = announced_length(request, limit_bytes)
    plain = request._request if isinstance(request, Request) else request
    size = 0
    while True:
        try:
            chunk = plain.read(CHUNK_BYTES)
        except UnreadablePostError as error:
            raise BodyTruncated(f"the connection ended after {size} bytes") from error
        if not chunk:
            break
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(f"more than {limit_bytes} bytes came", limit_bytes)
        yield chunk
    if length is not None:
        _check_length(size, length)


def parse(request: HttpRequest | Request, message: type[_Message]) -> _Message:
    """The JSON body as a checked message.

    Raises: NotJson, MalformedJson, InvalidMessage, and as `read_body`.
    """
    found = (request.content_type or "").partition(";")[0].strip().lower()
    if found != "application/json":
        raise NotJson(f"found {found[:100] or 'no content type'!r}; accepted is application/json")
    body = read_body(request)
    _check_json(body)
    try:
        return message.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise invalid_message(error) from error


def parse_query(request: HttpRequest | Request, message: type[_Message]) -> _Message:
    """The query string as a checked message; a name it does not have, or one that comes twice, is refused.

    Raises: InvalidQuery.
    """
    found: dict[str, str] = {}
    for name, values in request.GET.lists():
        if len(values) > 1:
            raise InvalidQuery(f"{name[:100]}: found {len(values)} times; accepted is once")
        found[name] = str(values[0])
    for text in (*found, *found.values()):
        if "\0" in text:
            raise InvalidQuery("the text contains the character U+0000, which is not accepted")
    try:
        return message.model_validate_strings(found)
    except pydantic.ValidationError as error:
        refused = invalid_message(error)
        raise InvalidQuery(refused.detail, extra=refused.extra) from error


def invalid_message(error: pydantic.ValidationError) -> InvalidMessage:
    """The faults pydantic found, as the typed failure that the API shows."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    listed = [
        {
            "field": ".".join(str(part) for part in fault["loc"])[:200],
            "code": fault["type"],
            "detail": fault["msg"],
        }
        for fault in faults[:FAULTS_SHOWN]
    ]
    first = listed[0]
    where = first["field"] or "the message"
    return InvalidMessage(f"{where}: {first['detail']}", extra={"errors": listed})


def _check_json(body: bytes) -> None:
    """Refuse what parsers disagree about: duplicate keys, NaN, deep nesting, text PostgreSQL has not."""
    try:
        json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(str(error) if isinstance(error, ValueError) else "nested too deeply") from error
    if _NUL.search(body):
        raise MalformedJson("the text contains the character U+0000, which is not accepted")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"found {text}, which JSON does not have")


def _too_large(found: str, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"{found}; at most {limit_bytes} are accepted", extra={"limit_bytes": limit_bytes})


def _check_length(size: int, length: int) -> None:
    if size != length:
        raise BodyTruncated(f"found {size} bytes; {length} were announced")
