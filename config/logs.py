"""Lines of the log as JSON, and the id by which the lines of one request are found.

A caller may name the request by `X-Request-ID`; a name that could break a line or a header is replaced.
"""

import datetime
import inspect
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from common import trace

HEADER: Final = "X-Request-ID"
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{8,64}")


class JsonLine(logging.Formatter):
    """One JSON object per line: time, level, component, text, and what the work is done for."""

    def format(self, record: logging.LogRecord) -> str:
        """Never more than one line, whatever the text holds."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, str | int] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "component": record.name,
            "text": record.getMessage(),
        }
        if name := trace.request_id.get():
            line["request_id"] = name
        line |= trace.background.get()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


@sync_and_async_middleware
def name_requests(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Middleware: gives each request its id, and says it in the answer."""
    if inspect.iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            known = trace.request_id.set(_name(request))
            try:
                return _said(await get_response(request))
            finally:
                trace.request_id.reset(known)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        known = trace.request_id.set(_name(request))
        try:
            response = get_response(request)
            assert isinstance(response, HttpResponseBase)
            return _said(response)
        finally:
            trace.request_id.reset(known)

    return answer


def _name(request: HttpRequest) -> str:
    given = request.headers.get(HEADER, "")
    return given if _NAME.fullmatch(given) else uuid.uuid4().hex


def _said(response: HttpResponseBase) -> HttpResponseBase:
    response[HEADER] = trace.request_id.get()
    return response
