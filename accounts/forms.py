"""What people type: shapes and bounds of every form of this app. The acts themselves are services."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import policy
from accounts.core import roles as role_table
from accounts.models import Role, User
from common import figures, inputs, money, refusals
from common.errors import AppError

ROLE_WORDS = {
    role_table.MEMBER: _("Member: submits jobs, trades, publishes models"),
    role_table.OPERATOR: _("Operator: adds nodes as well"),
    role_table.STEWARD: _("Steward: invites, issues credit, proposes and adopts rules"),
    role_table.AUDITOR: _("Auditor: reads everything, changes nothing"),
}

SCOPE_WORDS = {
    "jobs:read": _("Read jobs, nodes and the market"),
    "jobs:write": _("Submit and cancel jobs"),
    "models:write": _("Publish models"),
    "market:write": _("Place and cancel orders"),
    "wallet:read": _("Read the wallet"),
    "wallet:write": _("Send credits to other members"),
    "nodes:write": _("Drain, resume and retire own nodes, and change their terms"),
    "cooperative:read": _("Read members, rules and news of the cooperative"),
    "cooperative:write": _("Accept invitations"),
}

ROLE_NAMES = {
    Role.MEMBER.value: _("Member"),
    Role.OPERATOR.value: _("Operator"),
    Role.STEWARD.value: _("Steward"),
    Role.AUDITOR.value: _("Auditor"),
}
RULE_WORDS = {
    "operator_bp": _("Operators' share of compute"),
    "treasury_bp": _("Treasury's share of compute"),
    "reserve_bp": _("Reserve's share of compute"),
    "assurance_bp": _("Assurance fund's share of compute"),
    "royalty_fee_bp": _("Treasury's share of royalties"),
    "issuance_limit_micro": _("Most credit that may be outstanding"),
    "issuance_second_steward_above_micro": _("Credit that one steward may issue in 24 hours"),
    "probation_validations": _("Validated results in a row that end a node's probation"),
    "quarantine_rejections": _("Rejections that quarantine a node"),
    "quarantine_window": _("Checks among which those rejections are counted"),
    "spare_claims": _("Extra attempts of a task before it fails"),
    "assurance_overdraft_micro": _("How far the assurance fund may go below zero"),
    "join_requests_open": _("People may ask to join (1: yes, 0: by invitation alone)"),
}


PLAIN_NUMBER = re.compile(r"[+-]?[0-9]{1,16}([.,][0-9]{0,6})?")
"""Numbers as people write them: no exponents, which would name numbers too large to compute with."""


class ActForm(forms.Form):
    """A form whose act may be refused by a service."""

    def refuse(self, error: AppError) -> None:
        """Show a refusal at the field it is about, or above the form."""
        field = error.extra.get("field")
        self.add_error(field if field in self.fields else None, refusals.translated(error.detail))


class PercentField(forms.CharField):
    """Percent with at most two decimals; cleaned to basis points."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(max_length=10, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value).strip().rstrip("% ")
        points = Decimal(text.replace(",", ".")) * 100 if PLAIN_NUMBER.fullmatch(text) else Decimal("NaN")
        if points != points.to_integral_value():
            raise ValidationError(
                _("found %(text)s; accepted is a percentage with at most two decimals, such as 12.5"),
                code="not_a_percentage",
                params={"text": text},
            )
        return int(points)

    def prepare_value(self, value: Any) -> Any:
        return figures.localised(f"{Decimal(value).scaleb(-2):f}") if isinstance(value, int) else value


class SetupForm(ActForm):
    """The first steward and the first cooperative."""

    display_name = forms.CharField(label=_("Your name"), max_length=100, help_text=_("What members see."))
    email = forms.EmailField(label=_("E-mail address"), help_text=_("You log in with it."))
    password1 = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validation.password_validators_help_text_html,
    )
    password2 = forms.CharField(
        label=_("Password again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    cooperative_name = forms.CharField(label=_("Name of the cooperative"), max_length=100)
    cooperative_slug = forms.SlugField(
        label=_("Short name"),
        required=False,
        max_length=50,
        help_text=_("For addresses: letters, digits and hyphens. Made from the name if left empty."),
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        password = values.get("password1")
        if password and values.get("password2") and password != values["password2"]:
            self.add_error("password2", _("The two passwords differ."))
        if password:
            person = User(email=values.get("email", ""), display_name=values.get("display_name", ""))
            try:
                password_validation.validate_password(password, person)
            except ValidationError as error:
                self.add_error("password1", error)
        if not values.get("cooperative_slug") and "cooperative_slug" not in self.errors:
            values["cooperative_slug"] = slugify(values.get("cooperative_name", ""))[:50]
            if values.get("cooperative_name") and not values["cooperative_slug"]:
                self.add_error("cooperative_slug", _("No short name can be made from this name; give one."))
        return values


class AcceptInvitationForm(ActForm):
    """The last step into a cooperative."""

    display_name = forms.CharField(
        label=_("Your name"),
        max_length=100,
        help_text=_("What the other members see instead of your e-mail address."),
    )


class RolesForm(ActForm):
    """Which roles somebody has or is to have."""

    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        choices=[(role, ROLE_WORDS[role]) for role in role_table.ALL],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one role.")},
    )


class MemberRolesForm(RolesForm, inputs.Versioned):
    """The roles of a member, which another steward may change as well."""


class InviteForm(RolesForm):
    """A new invitation."""

    email = forms.EmailField(
        label=_("Only for this e-mail address"),
        required=False,
        help_text=_("The link is mailed there. Left empty, whoever opens the link first can use it."),
    )


class AskToJoinForm(ActForm):
    """A stranger's words to the stewards."""

    message = forms.CharField(
        label=_("Who you are and why"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The stewards read it before they decide."),
    )


class ApiTokenForm(ActForm):
    """A new API token."""

    name = forms.CharField(label=_("Name"), max_length=100, help_text=_("What it is for, such as 'laptop'."))
    scopes = forms.MultipleChoiceField(
        label=_("It may"),
        choices=[(scope, SCOPE_WORDS[scope]) for scope in role_table.SCOPES],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one scope.")},
    )
    valid_days = forms.TypedChoiceField(
        label=_("Valid for"),
        coerce=int,
        choices=[(30, _("30 days")), (90, _("90 days")), (365, _("one year"))],
        initial=90,
    )


class PolicyForm(ActForm, inputs.Versioned):
    """All rules of a cooperative. `cleaned_data["rules"]` is the rule book."""

    adds = ("reason",)

    reason = forms.CharField(
        label=_("Reason"),
        max_length=500,
        help_text=_("Why the rules should change. Every member can read it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in policy.NAMES:
            self.fields[name] = _rule_field(name)
        self.order_fields([*policy.NAMES, "reason"])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        rules = {name: values[name] for name in policy.NAMES if name in values}
        if len(rules) == len(policy.NAMES):
            try:
                values["rules"] = policy.parse(rules)
            except policy.RulesRefused as error:
                for name, problem in error.problems.items():
                    self.add_error(name, show_problem(name, problem))
        return values


class CreditIssueForm(ActForm):
    """A wish to issue credit."""

    amount_micro = inputs.CreditsField(label=_("Credits"))
    reason = forms.CharField(label=_("Reason"), max_length=500, help_text=_("It stands in the statement."))

    def __init__(self, *args: Any, targets: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to_address"] = forms.ChoiceField(label=_("To"), choices=targets)
        self.order_fields(["to_address", "amount_micro", "reason"])


def role_names(found: list[str]) -> list[str]:
    """Roles as words."""
    return [str(ROLE_NAMES[role]) for role in found]


def show_rule(name: str, value: int) -> str:
    """A rule's value as people read it, with its unit."""
    if name.endswith("_bp"):
        return f"{figures.localised(f'{Decimal(value).scaleb(-2):.2f}')} %"
    if name.endswith("_micro"):
        return gettext("%(amount)s credits") % {"amount": figures.localised(money.format_credits(value, 2))}
    return str(value)


def show_problem(name: str, problem: policy.Problem) -> str:
    """Why a rule is refused, in the units of the form."""
    if problem.code == "shares_do_not_sum":
        return gettext("The four shares have to sum to 100 %.")
    if problem.code == "out_of_bounds":
        least, most = (show_rule(name, bound) for bound in policy.bounds(name))
        return gettext("Accepted is %(least)s to %(most)s.") % {"least": least, "most": most}
    return str(problem)


def _rule_field(name: str) -> forms.Field:
    label = RULE_WORDS[name]
    if name.endswith("_bp"):
        return PercentField(label=label, help_text=gettext("percent"))
    if name.endswith("_micro"):
        return inputs.CreditsField(label=label, help_text=gettext("credits"))
    least, most = policy.bounds(name)
    return forms.IntegerField(label=label, min_value=least, max_value=most)
