"""Asking to join a cooperative, and the stewards' answer."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import queries, services
from accounts.authentication import member_page, person_of
from accounts.forms import AskToJoinForm
from accounts.models import Cooperative, JoinRequest, Membership
from common import refusals
from common.clock import database_now
from common.errors import AppError, NotFound


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def ask(request: HttpRequest, slug: str) -> HttpResponse:
    """Say who one is and why; afterwards, where the request stands."""
    cooperative = _cooperative(slug)
    person = person_of(request)
    form = AskToJoinForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            services.ask_to_join(
                user=person, cooperative=cooperative, message=form.cleaned_data["message"], now=database_now()
            )
        except AppError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The stewards of %(name)s have your request.") % {"name": cooperative})
            return redirect("ask-to-join", slug)
    _number, rules = queries.current_policy(cooperative.pk)
    context = {
        "cooperative": cooperative,
        "form": form,
        "is_open": bool(rules.join_requests_open),
        "last": queries.last_request(person, cooperative),
        "is_member": queries.memberships_of(person).filter(cooperative=cooperative).exists(),
    }
    return render(request, "accounts/ask_to_join.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    """Take one's own request back."""
    person = person_of(request)
    last = queries.last_request(person, _cooperative(slug))
    if last is None:
        raise Http404
    try:
        services.withdraw_request(user=person, request=last, now=database_now())
    except services.RequestDecided as error:
        messages.error(request, refusals.told(error))
    else:
        messages.success(request, _("Your request is taken back."))
    return redirect("ask-to-join", slug)


@require_POST
@member_page("members.invite")
def decide(request: HttpRequest, membership: Membership, request_id: str, decision: str) -> HttpResponse:
    """Accept or decline; the person gets a mail."""
    wanted = queries.get_scoped(JoinRequest.objects.all(), membership, pk=int(request_id))
    try:
        if decision == "accept":
            services.accept_request(by=membership, request=wanted, now=database_now())
        else:
            reason = request.POST.get("reason", "")
            services.decline_request(by=membership, request=wanted, reason=reason, now=database_now())
    except AppError as error:
        messages.error(request, refusals.told(error))
        return redirect("cooperative")
    wanted.refresh_from_db()
    sent = services.mail_decision(request=wanted, link=request.build_absolute_uri(reverse("home")))
    done = _("%(name)s is a member now.") if decision == "accept" else _("%(name)s is declined.")
    messages.success(request, done % {"name": wanted.user})
    if not sent:
        messages.warning(request, _("The mail about it could not be sent."))
    return redirect("cooperative")


def _cooperative(slug: str) -> Cooperative:
    try:
        return queries.cooperative_by_slug(slug)
    except NotFound as error:
        raise Http404 from error
