"""Home, for members and for those who are not signed in; and the panels by themselves."""

import logging
from typing import cast

import redis
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_POST
from django.views.i18n import set_language

from accounts import queries as accounts
from common import clock, errors
from dashboard import panels
from dashboard.queries import public
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import viewer_page

FIGURES_KEY = "front-figures"
FIGURES_SECONDS = 30

logger = logging.getLogger(__name__)


@viewer_page("cooperative.view")
def _member_home(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return render(request, "dashboard/home.html", {"viewer": viewer, "may_submit": viewer.may("jobs.submit")})


@require_GET
def home(request: HttpRequest) -> HttpResponseBase:
    """What needs me first, then what I have running; a front page for strangers."""
    if not request.user.is_authenticated:
        return render(request, "dashboard/front.html", {"figures": _figures()})
    return _member_home(request)


def _figures() -> public.Figures:
    """The public figures, at most FIGURES_SECONDS old, so that no crowd of strangers costs more than one reading."""
    try:
        found = cache.get(FIGURES_KEY)
        if found is None:
            found = public.figures(clock.database_now())
            cache.set(FIGURES_KEY, found, FIGURES_SECONDS)
    except redis.RedisError as error:
        logger.warning("the public figures are not cached: %s", error)
        return public.figures(clock.database_now())
    return cast(public.Figures, found)


_set_members_language = csrf_protect(set_language)


@csrf_exempt
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose the language and go back. A stranger's form has no token: it would cost every visit a stored session."""
    return _set_members_language(request) if request.user.is_authenticated else set_language(request)


@require_GET
def panel(request: HttpRequest, name: str, key: str) -> HttpResponse:
    """One live panel as the socket would send it: for polling. 401 when signed out, 404 when not to be seen.

    `membership` says for which of the person's memberships the page was made, whatever the session acts for now.
    """
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    wanted = request.GET.get("membership", "")
    if not wanted.isascii() or not wanted.isdigit() or len(wanted) > 18:
        raise Http404
    membership = accounts.memberships_of(request.user).filter(pk=int(wanted)).first()
    if membership is None:
        raise Http404
    try:
        html = panels.render(name, key, Viewer(membership, clock.database_now()))
    except errors.NotFound as error:
        raise Http404 from error
    return HttpResponse(html, headers={"Cache-Control": "no-store"})
