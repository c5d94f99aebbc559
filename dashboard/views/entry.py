"""How a view of the dashboard is entered, and how it answers an act."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRedirect

from accounts.authentication import member_page
from accounts.models import Membership
from common import clock, errors, refusals, versions
from dashboard.queries.viewer import Viewer

P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


ViewerPage = Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase]


def viewer_page(permission: str) -> Callable[[ViewerPage[P]], Page[P]]:
    """A page for members with `permission`; the view is called with the request and the viewer."""

    def decorate(view: ViewerPage[P]) -> Page[P]:
        def page(
            request: HttpRequest, membership: Membership, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            viewer = Viewer(membership, clock.database_now())
            request.viewer = viewer  # type: ignore[attr-defined]  # the frame around the page has the same
            return view(request, viewer, *args, **kwargs)

        return wraps(view)(member_page(permission)(page))

    return decorate


def act(
    request: HttpRequest, deed: Callable[[], object], *, done: str, to: str, number: int | None = None
) -> HttpResponse:
    """Do `deed`, say `done` or why it was impossible, and go to the page named `to`.

    Raises: versions.ChangedMeanwhile, which only the form that was sent can answer.
    """
    with refusals_said(request):
        deed()
        messages.success(request, done)
    return leave(request, to, number)


@contextmanager
def refusals_said(request: HttpRequest) -> Iterator[None]:
    """Why an act was impossible becomes a message; what is hidden or forbidden, a page of its own.

    Raises: versions.ChangedMeanwhile, as it came.
    """
    try:
        yield
    except versions.ChangedMeanwhile:
        raise
    except errors.NotFound as error:
        raise Http404 from error
    except errors.Forbidden as error:
        raise PermissionDenied(refusals.translated(error.detail)) from error
    except errors.AppError as error:
        messages.error(request, refusals.told(error))


def leave(request: HttpRequest, to: str, number: int | None = None) -> HttpResponse:
    """Go to the page named `to`, from a form as from htmx."""
    answer = redirect(to) if number is None else redirect(to, number)
    if getattr(request, "htmx", False):
        return HttpResponseClientRedirect(answer.url)
    return answer


def cursor(request: HttpRequest) -> int | None:
    """The `before` of a list's address; nonsense is no cursor."""
    text = request.GET.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
