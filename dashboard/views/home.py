"""Home, for members and for those who are not signed in; and the panels by themselves."""

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import queries as accounts
from common import clock, errors
from dashboard import panels
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import viewer_page


@viewer_page("cooperative.view")
def _member_home(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return render(request, "dashboard/home.html", {"viewer": viewer, "may_submit": viewer.may("jobs.submit")})


@require_GET
def home(request: HttpRequest) -> HttpResponseBase:
    """What needs me first, then what I have running; a front page for strangers."""
    if not request.user.is_authenticated:
        return render(request, "dashboard/front.html")
    return _member_home(request)


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
