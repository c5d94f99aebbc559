"""Following an invitation link, and taking one back."""

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import queries, services
from accounts.authentication import INVITATION_COOKIE, choose_cooperative, member_page
from accounts.forms import AcceptInvitationForm, role_names
from accounts.models import Invitation, Membership
from common import refusals
from common.clock import database_now
from common.errors import AppError

COOKIE_SECONDS = 7 * 24 * 3600


@never_cache
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the link offers; signed in, accept it. Signed out, the browser remembers the link."""
    try:
        invitation = queries.invitation(token)
        services.check_usable(invitation=invitation, now=database_now())
        if not request.user.is_authenticated:
            return _welcome(request, invitation, token)
        form = AcceptInvitationForm(request.POST or None, initial={"display_name": request.user.display_name})
        if form.is_valid():
            return _accept(request, form, token)
    except AppError as error:
        response = render(request, "accounts/link_refused.html", {"error": error}, status=error.status)
    else:
        response = render(
            request,
            "accounts/invite.html",
            {"invitation": invitation, "roles": role_names(invitation.roles), "form": form},
            status=422 if form.errors else 200,
        )
    response.delete_cookie(INVITATION_COOKIE)
    return response


def _welcome(request: HttpRequest, invitation: Invitation, token: str) -> HttpResponse:
    if request.method == "POST":
        return redirect_to_login(request.path)
    response = render(
        request,
        "accounts/invite.html",
        {"invitation": invitation, "roles": role_names(invitation.roles)},
    )
    response.set_cookie(
        INVITATION_COOKIE,
        token,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure(),
    )
    return response


def _accept(request: HttpRequest, form: AcceptInvitationForm, token: str) -> HttpResponse:
    assert request.user.is_authenticated
    membership = services.accept_invitation(
        token=token,
        user=request.user,
        now=database_now(),
        display_name=form.cleaned_data["display_name"],
    )
    choose_cooperative(request, membership)
    messages.success(request, _("You belong to %(name)s now.") % {"name": membership.cooperative})
    response = redirect("home")
    response.delete_cookie(INVITATION_COOKIE)
    return response


@require_POST
@member_page("members.invite")
def revoke_invitation(request: HttpRequest, membership: Membership, invitation_id: int) -> HttpResponse:
    """Take an unused link back."""
    invitation = queries.get_scoped(Invitation.objects.all(), membership, pk=invitation_id)
    try:
        services.revoke_invitation(by=membership, invitation=invitation, now=database_now())
    except (services.InvitationUsed, services.InvitationRevoked) as error:
        messages.error(request, refusals.told(error))
    else:
        messages.success(request, _("The link works no longer."))
    return redirect("cooperative")
