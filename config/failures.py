"""What is shown when something is missing or breaks: a page for people, a problem body for programs."""

import json

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from common import trace
from common.openapi import PROBLEM

_API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400 for what Django will not look at: a Host that is not ours, too many fields, a tampered cookie."""
    if request.path.startswith(_API):
        return _problem(400, "bad_request", "The request cannot be read", type(exception).__name__)
    return defaults.bad_request(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404 for an address that leads nowhere."""
    if request.path.startswith(_API):
        return _problem(404, "not_found", "There is no such address here", request.path[:200])
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: logged once by Django with its traceback; nothing of it is shown."""
    if request.path.startswith(_API):
        return _problem(
            500, "internal_error", "Something broke on our side", "it has been written down; try again later"
        )
    return defaults.server_error(request)


def _problem(status: int, code: str, title: str, detail: str) -> HttpResponse:
    body: dict[str, object] = {"type": f"/docs/errors#{code}", "title": title, "status": status, "code": code}
    body |= {"detail": detail, "request_id": trace.request_id.get()}
    return HttpResponse(json.dumps(body), status=status, content_type=PROBLEM)
