"""Expected failures. Each has a typed code, an HTTP status and words for the person it concerns."""

from collections.abc import Mapping
from typing import Any

from common.words import said as _


class AppError(Exception):
    """Base of all expected failures.

    `code` is stable and lower_snake; `status` is the HTTP status; `detail` says what was found and
    what would be accepted; `extra` holds machine-readable members of the RFC 9457 problem body.
    """

    code = "app_error"
    status = 400
    title = _("The request cannot be carried out")

    def __init__(self, detail: str = "", *, extra: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = dict(extra or {})


class NotFound(AppError):
    """The thing does not exist, or the asker may not know that it does."""

    code = "not_found"
    status = 404
    title = _("There is no such thing here")


class Forbidden(AppError):
    """The asker is known and may not do this."""

    code = "forbidden"
    status = 403
    title = _("Your role does not allow this")


class Conflict(AppError):
    """The thing is in a state that does not allow this."""

    code = "conflict"
    status = 409
    title = _("The current state does not allow this")


class Invalid(AppError):
    """The input is well formed but cannot be accepted."""

    code = "invalid"
    status = 422
    title = _("The input cannot be accepted")
