"""Sessions of people on /api/v1: what the pages' scripts call with."""

from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from drf_spectacular.authentication import SessionScheme
from rest_framework import authentication
from rest_framework.request import Request


class SessionAuthentication(authentication.SessionAuthentication):
    """request.user is whoever is signed in; what changes something carries X-CSRFToken."""

    def enforce_csrf(self, request: Request) -> None:
        """Look for the token in the header alone. In a body it would be looked for by reading the body as a form.

        Raises: PermissionDenied.
        """
        plain = request._request
        plain._post, plain._files = QueryDict(), MultiValueDict()  # type: ignore[attr-defined]
        super().enforce_csrf(plain)  # type: ignore[arg-type]


class PageSessionScheme(SessionScheme):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = SessionAuthentication  # type: ignore[assignment]
