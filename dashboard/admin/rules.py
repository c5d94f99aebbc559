"""The rule book: versions, what they change, and who adopts them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import queries, services
from accounts.core import policy
from accounts.forms import RULE_WORDS, ActForm, PolicyForm, show_rule
from accounts.models import Membership, PolicyVersion
from dashboard.admin.forms import confirm
from dashboard.admin.section import Act, Section, Table
from dashboard.templatetags.dashboard import cell


def _proposal(by: Membership, _row: None) -> type[ActForm]:
    number, rules = queries.current_policy(by.cooperative_id)

    class Proposal(PolicyForm):
        """The rules in force, to be changed."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.setdefault("initial", {**policy.as_dict(rules), "version": policy.version_of(number)})
            super().__init__(*args, **kwargs)

    return Proposal


def _propose(by: Membership, _row: None, typed: dict[str, Any], now: datetime) -> str:
    seen = typed["version"] or None
    services.propose_policy(by=by, rules=typed["rules"], reason=typed["reason"], version=seen)
    return _("Proposed. A second steward has to adopt it.")


def _adopt(by: Membership, row: PolicyVersion, typed: dict[str, Any], now: datetime) -> str:
    services.adopt_policy(by=by, version=row)
    return _("Version %(number)s is in force.") % {"number": row.number}


def _waits(by: Membership, row: PolicyVersion) -> bool:
    in_force, _rules = queries.current_policy(by.cooperative_id)
    return not hasattr(row, "adoption") and row.replaces == in_force and row.proposed_by_id != by.pk


class Policies(Section):
    """Every version there has been; adopted ones rule, proposed ones wait for a second steward."""

    group = "rules"
    title = gettext_lazy("Policies")
    list_display = ("__str__", "reason", "proposer", "proposed_at", "adopter", "adopted_at")
    list_select_related = ("cooperative", "proposed_by__user", "adoption__adopted_by__user")
    fields = ("number", "replaced", "reason", "proposer", "proposed_at", "adopter", "adopted_at")
    readonly_fields = fields
    acts = (
        Act(
            "propose",
            gettext_lazy("Propose a change"),
            "policy.propose",
            _proposal,
            _propose,
            explanation=gettext_lazy("The rules in force stand below. Another steward has to adopt what you change."),
            needs_row=False,
        ),
        Act(
            "adopt",
            gettext_lazy("Adopt"),
            "policy.adopt",
            confirm,
            _adopt,
            fits=_waits,
            explanation=gettext_lazy(
                "From now on new jobs are settled under these rules; jobs that run are not touched."
            ),
        ),
    )

    def heading(self, row: PolicyVersion) -> str:
        """Its own words, as a heading begins."""
        return capfirst(str(row))

    @admin.display(description=gettext_lazy("Proposed by"))
    def proposer(self, row: PolicyVersion) -> str:
        return str(row.proposed_by.user)

    @admin.display(description=gettext_lazy("Adopted by"))
    def adopter(self, row: PolicyVersion) -> str:
        return str(row.adoption.adopted_by.user) if hasattr(row, "adoption") else "\N{EN DASH}"

    @admin.display(description=gettext_lazy("Adopted at"))
    def adopted_at(self, row: PolicyVersion) -> object:
        return cell(row.adoption.adopted_at) if hasattr(row, "adoption") else "\N{EN DASH}"

    @admin.display(description=gettext_lazy("Replaces"))
    def replaced(self, row: PolicyVersion) -> str:
        return str(row.replaces) if row.replaces else "\N{EN DASH}"

    def tables(self, row: PolicyVersion) -> Iterable[Table]:
        rules = policy.stored(row.rules)
        before = queries.policy(row.cooperative_id, row.replaces) if row.replaces else rules
        yield Table(
            _("What it changes"),
            (_("Rule"), _("Before"), _("After")),
            [
                (RULE_WORDS[each.rule], show_rule(each.rule, each.before), show_rule(each.rule, each.after))
                for each in policy.diff(before, rules)
            ],
            _("Nothing: these are the first rules."),
        )
        yield Table(
            _("All its rules"),
            (_("Rule"), _("Value")),
            [(RULE_WORDS[name], show_rule(name, value)) for name, value in policy.as_dict(rules).items()],
        )
