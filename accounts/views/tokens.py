"""A member's API tokens: make, show once, revoke."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import queries, services
from accounts.authentication import member_page
from accounts.forms import ApiTokenForm
from accounts.models import Membership
from common.clock import database_now
from common.errors import NotFound


@never_cache
@require_http_methods(["GET", "POST"])
@member_page("cooperative.view")
def tokens(request: HttpRequest, membership: Membership) -> HttpResponse:
    """List tokens; a new one's secret is on the page that makes it and never again."""
    form, secret, now = ApiTokenForm(request.POST or None), "", database_now()
    if form.is_valid():
        try:
            _token, secret = services.issue_api_token(
                membership=membership,
                name=form.cleaned_data["name"],
                scopes=form.cleaned_data["scopes"],
                now=now,
                expires_at=now + timedelta(days=form.cleaned_data["valid_days"]),
            )
        except services.TokenRefused as error:
            form.refuse(error)
        else:
            form = ApiTokenForm()
    context = {
        "membership": membership,
        "tokens": queries.api_tokens(membership),
        "form": form,
        "secret": secret,
        "now": now,
    }
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@member_page("cooperative.view")
def revoke_token(request: HttpRequest, membership: Membership, token_id: int) -> HttpResponse:
    """End one of one's own tokens at once."""
    token = queries.api_tokens(membership).filter(pk=token_id).first()
    if token is None:
        raise NotFound(_("there is no such token of yours"))
    services.revoke_api_token(by=membership, token=token, now=database_now())
    messages.success(request, _("%(token)s is revoked.") % {"token": token})
    return redirect("tokens")
