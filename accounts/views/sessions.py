"""Ending a sign-in elsewhere."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import services
from accounts.authentication import person_of
from common.errors import NotFound


@login_required
@require_POST
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """End one session of the person."""
    try:
        services.end_session(user=person_of(request), session_id=session_id)
    except NotFound as error:
        raise Http404 from error
    messages.success(request, _("The session is ended."))
    return redirect("usersessions_list")
