"""Refuses bodies that are too long before Django writes them to a temporary file.

Django's ASGI handler takes in the whole body before any view runs; a limit in a view comes too late
to save the disk. Files have their own limit, everything else a small one.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from django.conf import settings

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE_LIMIT_BYTES: Final = 16 * 1024 * 1024
_FILES: Final = re.compile(r"/api/v1/(blobs/|node/attempts/)|/jobs/new|/models/publish/$")


class _TooLarge(Exception):
    """More came than this address takes."""


class BodyLimit:
    """An ASGI application around `app` that answers 413 instead of taking in too much."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = settings.BLOB_MAX_BYTES if _FILES.match(scope["path"]) else PAGE_LIMIT_BYTES
        if _announced(scope) > limit:
            await _refuse(send, limit)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLarge
            return message

        try:
            await self.app(scope, counted, send)
        except _TooLarge:
            await _refuse(send, limit)


def _announced(scope: Scope) -> int:
    values = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return int(values[0]) if values and values[0].isdigit() else 0


async def _refuse(send: Send, limit: int) -> None:
    body = json.dumps(
        {
            "type": "/docs/errors#body_too_large",
            "title": "The body is too large",
            "status": 413,
            "code": "body_too_large",
            "detail": f"at most {limit} bytes are accepted here",
            "limit_bytes": limit,
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
