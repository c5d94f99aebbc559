"""The page of the first steward."""

from django.conf import settings
from django.contrib import auth, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import queries, services
from accounts.authentication import choose_cooperative
from accounts.forms import SetupForm
from common import refusals
from common.clock import database_now
from common.errors import AppError


@never_cache
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Make the first person and the first cooperative, and log in."""
    form = SetupForm(request.POST or None)
    try:
        queries.setup_link(token)
        if form.is_valid():
            return _found(request, form, token)
    except (services.EmailTaken, services.SlugTaken) as error:
        field = "email" if isinstance(error, services.EmailTaken) else "cooperative_slug"
        form.add_error(field, refusals.translated(error.detail))
    except AppError as error:
        return render(request, "accounts/link_refused.html", {"error": error}, status=error.status)
    return render(request, "accounts/setup.html", {"form": form}, status=422 if form.errors else 200)


def _found(request: HttpRequest, form: SetupForm, token: str) -> HttpResponse:
    values = form.cleaned_data
    membership = services.use_first_steward_link(
        token=token,
        email=values["email"],
        password=values["password1"],
        display_name=values["display_name"],
        cooperative_name=values["cooperative_name"],
        cooperative_slug=values["cooperative_slug"],
        now=database_now(),
    )
    auth.login(request, membership.user, backend=settings.AUTHENTICATION_BACKENDS[0])
    choose_cooperative(request, membership)
    messages.success(request, _("%(name)s is founded. Invite its members next.") % {"name": membership.cooperative})
    return redirect("cooperative")
