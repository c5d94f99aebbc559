"""What all of /api/v1 shares: errors as RFC 9457 problems."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from common.errors import AppError
from common.openapi import PROBLEM

logger = logging.getLogger(__name__)


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an expected failure into a problem body with a typed code; leave the unexpected to crash."""
    if isinstance(error, AppError):
        return problem(error.status, error.code, error.title, error.detail, **error.extra)
    if isinstance(error, Http404):
        return problem(404, "not_found", "There is no such thing here", str(error))
    if isinstance(error, PermissionDenied):
        return problem(403, "forbidden", "Your role does not allow this", str(error))
    response = exception_handler(error, context)
    if response is None:
        return None
    assert isinstance(error, exceptions.APIException)
    if isinstance(error, exceptions.Throttled):
        code: object = "too_many_requests"
    else:
        code = error.get_codes() if isinstance(error.get_codes(), str) else "invalid"
    extra = {"errors": response.data} if isinstance(error, exceptions.ValidationError) else {}
    answer = problem(response.status_code, str(code), _title(response.status_code), _words(error), **extra)
    for header in ("WWW-Authenticate", "Retry-After", "Allow"):
        if header in response.headers:
            answer[header] = response.headers[header]
    return answer


def problem(status_code: int, code: str, title: str, detail: str = "", **extra: Any) -> Response:
    """An RFC 9457 problem body. `code` is stable; `type` points at its page in the docs."""
    body = {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status_code,
        "code": code,
        "detail": detail,
    }
    return Response(body | extra, status=status_code, content_type=PROBLEM)


def _title(status_code: int) -> str:
    return {
        status.HTTP_400_BAD_REQUEST: "The request is not valid",
        status.HTTP_401_UNAUTHORIZED: "Who are you?",
        status.HTTP_403_FORBIDDEN: "Your role does not allow this",
        status.HTTP_405_METHOD_NOT_ALLOWED: "This address does not take that method",
        status.HTTP_415_UNSUPPORTED_MEDIA_TYPE: "This content type is not accepted",
        status.HTTP_429_TOO_MANY_REQUESTS: "Too many requests",
    }.get(status_code, "The request cannot be carried out")


def _words(error: exceptions.APIException) -> str:
    return str(error.detail) if isinstance(error.detail, str) else "see errors"
