"""Credit that stewards issue, by two above the limit."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import services
from accounts.forms import ActForm
from accounts.models import CreditIssue, Membership
from common import inputs
from dashboard.admin.forms import confirm, why
from dashboard.admin.section import Act, Section
from dashboard.templatetags.dashboard import amount, yes_no


class IssueForm(ActForm):
    """An address, an amount, a reason. The address is typed, since a cooperative may have any number of members."""

    to_address = forms.CharField(
        label=_("To"),
        max_length=100,
        help_text=gettext_lazy("An address: the treasury, the assurance fund, or the wallet on a member’s page."),
    )
    amount_micro = inputs.CreditsField(label=gettext_lazy("Credits"))
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=500, help_text=gettext_lazy("It stands in the statement.")
    )


def _form(by: Membership, _row: None) -> type[ActForm]:
    class Issue(IssueForm):
        """With the treasury's address to begin with."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("initial", {"to_address": f"coop:{by.cooperative_id}:treasury"})
            super().__init__(*args, **kwargs)

    return Issue


def _propose(by: Membership, _row: None, typed: dict[str, Any], now: datetime) -> str:
    issue = services.propose_credit_issue(by=by, now=now, **typed)
    if issue.state == CreditIssue.State.ISSUED:
        return _("The credit is issued.")
    return _("Above what one steward may issue: a second steward has to approve it.")


def _approve(by: Membership, row: CreditIssue, typed: dict[str, Any], now: datetime) -> str:
    services.approve_credit_issue(by=by, issue=row, now=now)
    return _("The credit is issued.")


def _refuse(by: Membership, row: CreditIssue, typed: dict[str, Any], now: datetime) -> str:
    services.refuse_credit_issue(by=by, issue=row, now=now, reason=typed["reason"])
    return _("The credit is refused.")


class Credit(Section):
    """Wishes to issue credit and what became of them."""

    group = "money"
    title = gettext_lazy("Credit issued")
    list_display = ("to_address", "credits", "reason", "state", "proposer", "proposed_at", "decider")
    list_filter = ("state", "needs_second_steward")
    list_select_related = ("proposed_by__user", "decided_by__user")
    fields = (
        "statement",
        "credits",
        "reason",
        "state",
        "by_two",
        "proposer",
        "proposed_at",
        "decider",
        "decided_at",
    )
    readonly_fields = fields
    acts = (
        Act("issue", gettext_lazy("Issue credit"), "credit.issue", _form, _propose, needs_row=False),
        Act(
            "approve",
            gettext_lazy("Approve"),
            "credit.issue",
            confirm,
            _approve,
            fits=lambda by, row: row.state == CreditIssue.State.PROPOSED and row.proposed_by_id != by.pk,
            explanation=gettext_lazy("The credit is issued at once and cannot be taken back."),
        ),
        Act(
            "refuse",
            gettext_lazy("Refuse"),
            "credit.issue",
            why,
            _refuse,
            fits=lambda _by, row: row.state == CreditIssue.State.PROPOSED,
            is_grave=True,
        ),
    )

    @admin.display(description=gettext_lazy("Credits"))
    def credits(self, row: CreditIssue) -> SafeString:
        return amount(row.amount_micro)

    @admin.display(description=gettext_lazy("To"))
    def statement(self, row: CreditIssue) -> SafeString:
        return format_html('<a href="{}?address={}">{}</a>', reverse("admin:account"), row.to_address, row.to_address)

    @admin.display(description=gettext_lazy("Needs a second steward"))
    def by_two(self, row: CreditIssue) -> str:
        return yes_no(row.needs_second_steward)

    @admin.display(description=gettext_lazy("Proposed by"))
    def proposer(self, row: CreditIssue) -> str:
        return str(row.proposed_by.user)

    @admin.display(description=gettext_lazy("Decided by"))
    def decider(self, row: CreditIssue) -> str:
        return str(row.decided_by.user) if row.decided_by else "\N{EN DASH}"
