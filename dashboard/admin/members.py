"""Members with their roles, and the links that make members."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import services
from accounts.core import roles
from accounts.forms import ActForm, InviteForm, MemberRolesForm, role_names
from accounts.models import Invitation, JoinRequest, Membership
from dashboard.admin.forms import confirm, why
from dashboard.admin.section import Act, Section, Table
from dashboard.templatetags.dashboard import badge, signed, transfer_words
from ledger import queries as ledger
from nodes import queries as nodes


class RoleFilter(admin.SimpleListFilter):
    """Members who have a role."""

    title = gettext_lazy("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(role, role_names([role])[0]) for role in roles.ALL]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(roles__contains=[self.value()]) if self.value() in roles.ALL else queryset


class HereFilter(admin.SimpleListFilter):
    """Members of today, or those who left."""

    title = gettext_lazy("membership")
    parameter_name = "left"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", _("Member now")), ("yes", _("Left"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("no", "yes"):
            return queryset
        return queryset.filter(left_at__isnull=self.value() == "no")


def _roles_form(_by: Membership, row: Membership | None) -> type[ActForm]:
    class NewRoles(MemberRolesForm):
        """The roles as they are, to be changed."""

        adds = ("reason",)

        reason = forms.CharField(label=_("Reason"), max_length=500, required=False)

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if row is not None:
                kwargs.setdefault("initial", {"roles": row.roles, "version": row.version})
            super().__init__(*args, **kwargs)

    return NewRoles


def _set_roles(by: Membership, row: Membership, typed: dict[str, Any], now: datetime) -> str:
    seen = typed["version"] or None
    services.set_roles(by=by, membership=row, roles=typed["roles"], reason=typed["reason"], version=seen)
    return _("The roles of %(name)s are changed.") % {"name": row.user}


def _end(by: Membership, row: Membership, typed: dict[str, Any], now: datetime) -> str:
    services.leave(membership=row, by=by, now=now, reason=typed["reason"])
    return _("The membership of %(name)s has ended.") % {"name": row.user}


class Members(Section):
    """Who belongs to the cooperative, in which roles."""

    group = "people"
    title = gettext_lazy("Members")
    list_display = ("name", "email", "role_words", "joined_at", "left_at")
    list_filter = (HereFilter, RoleFilter)
    list_select_related = ("user", "cooperative")
    search_fields = ("user__email",)
    search_help_text = gettext_lazy("The beginning of an e-mail address")
    fields = ("name", "email", "role_words", "joined_at", "left_at", "account")
    readonly_fields = fields
    acts = (
        Act(
            "roles",
            gettext_lazy("Change roles"),
            "members.roles",
            _roles_form,
            _set_roles,
            fits=lambda _by, row: row.left_at is None,
        ),
        Act(
            "end",
            gettext_lazy("End the membership"),
            "members.roles",
            why,
            _end,
            fits=lambda by, row: row.left_at is None and row.pk != by.pk,
            explanation=gettext_lazy("The member’s API tokens stop working. The wallet stays as it is."),
            is_grave=True,
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By the beginning of the address, which is indexed and stored in lower case."""
        term = search_term.strip().lower()
        return (queryset.filter(user__email__startswith=term) if term else queryset), False

    @admin.display(description=gettext_lazy("Name"))
    def name(self, row: Membership) -> str:
        return str(row.user)

    @admin.display(description=gettext_lazy("E-mail"))
    def email(self, row: Membership) -> str:
        return row.user.email

    @admin.display(description=gettext_lazy("Roles"))
    def role_words(self, row: Membership) -> str:
        return ", ".join(role_names(row.roles))

    @admin.display(description=gettext_lazy("Wallet"))
    def account(self, row: Membership) -> SafeString:
        address = f"{reverse('admin:account')}?address={row.wallet}"
        return format_html('<a href="{}">{}</a>', address, _("Statement"))

    def tables(self, row: Membership) -> Iterable[Table]:
        found = nodes.nodes_operated_by(row.pk)[:50]
        yield Table(
            _("Nodes"), (_("Name"), _("State")), [(node.name, badge("node", node.state)) for node in found], _("None.")
        )
        yield Table(
            _("Latest movements of the wallet"),
            (_("When"), _("What"), _("Credits")),
            [
                (line.made_at, transfer_words(line.kind), signed(line.amount_micro))
                for line in ledger.statement(row.wallet, limit=10)
            ],
            _("None yet."),
        )


class InvitationFilter(admin.SimpleListFilter):
    """What became of a link."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", _("Open")), ("used", _("Used")), ("revoked", _("Taken back"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "open":
            return queryset.filter(accepted_at__isnull=True, revoked_at__isnull=True)
        if self.value() == "used":
            return queryset.filter(accepted_at__isnull=False)
        return queryset.filter(revoked_at__isnull=False) if self.value() == "revoked" else queryset


def _invite(by: Membership, _row: None, typed: dict[str, Any], now: datetime) -> str:
    _invitation, token = services.invite(by=by, roles=typed["roles"], email=typed["email"], now=now)
    return reverse("invite", args=[token])


def _revoke(by: Membership, row: Invitation, typed: dict[str, Any], now: datetime) -> str:
    services.revoke_invitation(by=by, invitation=row, now=now)
    return _("The link works no longer.")


def _invite_form(_by: Membership, _row: None) -> type[ActForm]:
    return InviteForm


class Invitations(Section):
    """Links that make their bearer a member, once."""

    group = "people"
    title = gettext_lazy("Invitations")
    list_display = ("__str__", "role_words", "email", "sender", "created_at", "expires_at", "accepted_at", "revoked_at")
    list_filter = (InvitationFilter,)
    list_select_related = ("invited_by__user", "cooperative")
    fields = ("role_words", "email", "sender", "created_at", "expires_at", "accepted_at", "revoked_at")
    readonly_fields = fields
    acts = (
        Act(
            "invite",
            gettext_lazy("Invite somebody"),
            "members.invite",
            _invite_form,
            _invite,
            needs_row=False,
            result_template="console/link.html",
        ),
        Act(
            "revoke",
            gettext_lazy("Take the link back"),
            "members.invite",
            confirm,
            _revoke,
            fits=lambda _by, row: row.accepted_at is None and row.revoked_at is None,
            in_bulk=True,
            is_grave=True,
        ),
    )

    def heading(self, row: Invitation) -> str:
        """Its own words, as a heading begins."""
        return capfirst(str(row))

    @admin.display(description=gettext_lazy("Roles"))
    def role_words(self, row: Invitation) -> str:
        return ", ".join(role_names(row.roles))

    @admin.display(description=gettext_lazy("By"))
    def sender(self, row: Invitation) -> str:
        return str(row.invited_by.user) if row.invited_by else "\N{EN DASH}"


def _accept(by: Membership, row: JoinRequest, typed: dict[str, Any], now: datetime) -> str:
    services.accept_request(by=by, request=row, now=now)
    return _("%(name)s is a member now.") % {"name": row.user}


def _decline(by: Membership, row: JoinRequest, typed: dict[str, Any], now: datetime) -> str:
    services.decline_request(by=by, request=row, reason=typed["reason"], now=now)
    return _("The request is declined; the person reads why.")


def _is_waiting(_by: Membership, row: JoinRequest) -> bool:
    return row.state == JoinRequest.State.WAITING


class JoinRequests(Section):
    """People who ask to become members."""

    group = "people"
    title = gettext_lazy("Join requests")
    list_display = ("person", "message", "state", "asked_at", "decided_at")
    list_filter = ("state",)
    list_select_related = ("user", "cooperative")
    fields = ("person", "message", "state", "reason", "asked_at", "decided_at")
    readonly_fields = fields
    acts = (
        Act(
            "accept",
            gettext_lazy("Accept"),
            "members.invite",
            confirm,
            _accept,
            fits=_is_waiting,
            explanation=gettext_lazy("The person becomes a member, who can be given more roles afterwards."),
            in_bulk=True,
        ),
        Act("decline", gettext_lazy("Decline"), "members.invite", why, _decline, fits=_is_waiting, is_grave=True),
    )

    @admin.display(description=gettext_lazy("Person"))
    def person(self, row: JoinRequest) -> str:
        return f"{row.user} ({row.user.email})"
