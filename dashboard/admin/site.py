"""The stewards' console: Django's admin with our frame, our gate and our sections.

Stewards of a cooperative get in, with a second factor, and see that cooperative alone.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, include, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_GET

from accounts import authentication
from accounts.models import Membership
from common import clock
from common.errors import Forbidden, NotFound
from dashboard.admin import ledger
from dashboard.admin.section import Section
from dashboard.queries import console as queue
from dashboard.queries.viewer import Viewer

GROUPS = {
    "people": gettext_lazy("People"),
    "machines": gettext_lazy("Machines and models"),
    "rules": gettext_lazy("Rules"),
    "money": gettext_lazy("Money"),
    "work": gettext_lazy("Work"),
    "trail": gettext_lazy("Audit"),
}


class Console(admin.AdminSite):
    """Every page of the console; nothing of Django's admin that is not listed here has an address."""

    site_header = site_title = gettext_lazy("Console")
    enable_nav_sidebar = False

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the gate let the request pass."""
        return hasattr(request, "steward")

    def admin_view(self, view: Callable[..., HttpResponseBase], cacheable: bool = False) -> Any:
        """`view` behind the gate, never cached."""

        def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in ("GET", "HEAD", "POST"):
                return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
            refusal = self._refusal(request)
            return view(request, *args, **kwargs) if refusal is None else refusal

        return update_wrapper(never_cache(csrf_protect(gated)), view)

    def _refusal(self, request: HttpRequest) -> HttpResponseBase | None:
        """Why the request does not get in; None lets it pass with `request.steward`.

        1. Signed in. 2. A steward of the cooperative that the session acts for. 3. A second factor, used in this
        session.
        """
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        try:
            steward = authentication.require(request, "console.view")
        except authentication.NoMembership as error:
            return render(request, "accounts/no_membership.html", {"error": error}, status=error.status)
        except (Forbidden, NotFound) as error:
            raise PermissionDenied(
                _("The console is for stewards of %(cooperative)s. If you are a steward elsewhere, switch above.")
                % {"cooperative": authentication.current_membership(request).cooperative}
            ) from error
        factors = authentication.factors_of(steward.user)
        if not factors:
            messages.warning(
                request, _("The console needs a second factor. Set one up here, then open the console again.")
            )
            return redirect(authentication.set_up_address())
        if not authentication.used_second_factor(request):
            messages.warning(
                request, _("You have not used your second factor since you signed in. Confirm it to open the console.")
            )
            return redirect(authentication.confirm_address(factors, request.get_full_path()))
        request.steward = steward  # type: ignore[attr-defined]  # read by `section.steward`
        return None

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The attention queue, the ledger and the sections."""
        found: list[URLPattern | URLResolver] = [
            path("", self.admin_view(require_GET(self.index)), name="index"),
            path("ledger/", self.framed(ledger.trial_balance), name="ledger"),
            path("ledger/account/", self.framed(ledger.account), name="account"),
            path("ledger/account.csv", self.admin_view(require_GET(ledger.account_csv)), name="account-csv"),
            path("ledger/transfer/", self.framed(ledger.transfer), name="transfer"),
        ]
        for model, section in self._registry.items():
            options = model._meta
            found.append(path(f"{options.app_label}/{options.model_name}/", include(section.get_urls())))
        return found

    def framed(self, page: Callable[[HttpRequest], ledger.Page]) -> Any:
        """A page that is only read, behind the gate and inside the frame."""

        def view(request: HttpRequest) -> HttpResponse:
            found = page(request)
            return render(request, found.template, self.each_context(request) | found.context)

        return self.admin_view(require_GET(view))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What waits for a steward, the gravest first."""
        steward: Membership = request.steward  # type: ignore[attr-defined]
        context = self.each_context(request) | {
            "title": _("What needs a steward"),
            "items": queue.items(Viewer(steward, clock.database_now())),
        }
        return TemplateResponse(request, "console/index.html", context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the frame of every page shows: the sections by group, and where one is."""
        groups: dict[str, list[dict[str, Any]]] = {group: [] for group in GROUPS}
        for section in self._registry.values():
            assert isinstance(section, Section)
            groups[section.group].append({"name": section.title, "url": section.address("changelist")})
        groups["money"].append({"name": _("Ledger"), "url": reverse("admin:ledger")})
        return {
            "site_title": self.site_title,
            "site_header": self.site_header,
            "has_permission": True,
            "console_groups": [(GROUPS[group], lines) for group, lines in groups.items() if lines],
            "console_home": reverse("admin:index"),
        }
