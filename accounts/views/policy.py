"""The rule book: what is in force, what was before, what is proposed."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries, services
from accounts.authentication import member_page
from accounts.core import policy as rule_book
from accounts.core import roles
from accounts.forms import RULE_WORDS, PolicyForm, show_rule
from accounts.models import Membership, PolicyVersion
from common import refusals, versions


@require_GET
@member_page("cooperative.view")
def policy(request: HttpRequest, membership: Membership) -> HttpResponse:
    """The rules in force and every version there has been."""
    number, rules = queries.current_policy(membership.cooperative_id)
    context = {
        "membership": membership,
        "number": number,
        "rules": [(RULE_WORDS[name], show_rule(name, value)) for name, value in rule_book.as_dict(rules).items()],
        "versions": [
            {"version": version, "state": _state(version, number)}
            for version in queries.policy_history(membership.cooperative_id)
        ],
        "may_propose": roles.may(membership.roles, "policy.propose"),
    }
    return render(request, "accounts/policy.html", context)


@require_GET
@member_page("cooperative.view")
def policy_version(request: HttpRequest, membership: Membership, number: int) -> HttpResponse:
    """One version against the one it replaces, and its adoption."""
    return render(request, "accounts/policy_version.html", _version_context(membership, number))


@require_http_methods(["GET", "POST"])
@member_page("policy.propose")
def propose_policy(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Propose the next rules, starting from those in force."""
    number, rules = queries.current_policy(membership.cooperative_id)
    form = PolicyForm(request.POST or None, initial=_rules_in_force(number, rules))
    if form.is_valid():
        try:
            version = services.propose_policy(
                by=membership, rules=form.cleaned_data["rules"], reason=form.cleaned_data["reason"], version=form.seen
            )
        except versions.ChangedMeanwhile:
            number, rules = queries.current_policy(membership.cooperative_id)
            form.keep(PolicyForm(initial=_rules_in_force(number, rules)))
        except (services.PolicyRefused, services.NothingChanges) as error:
            form.refuse(error)
        else:
            messages.success(request, _("Proposed. A second steward has to adopt it."))
            return redirect("policy-version", number=version.number)
    context = {"form": form, "number": number}
    return render(request, "accounts/policy_propose.html", context, status=422 if form.errors else 200)


@require_POST
@member_page("policy.adopt")
def adopt_policy(request: HttpRequest, membership: Membership, number: int) -> HttpResponse:
    """Make a proposed version the rule."""
    version = queries.policy_version(membership.cooperative_id, number)
    try:
        services.adopt_policy(by=membership, version=version)
    except (services.SecondStewardNeeded, services.AlreadyAdopted, services.PolicySuperseded) as error:
        messages.error(request, refusals.told(error))
    else:
        messages.success(request, _("Version %(number)s is in force.") % {"number": number})
    return redirect("policy-version", number=number)


def _rules_in_force(number: int, rules: rule_book.Rules) -> dict[str, Any]:
    return {**rule_book.as_dict(rules), "version": rule_book.version_of(number)}


def _version_context(membership: Membership, number: int) -> dict[str, Any]:
    version = queries.policy_version(membership.cooperative_id, number)
    in_force, _rules = queries.current_policy(membership.cooperative_id)
    rules = rule_book.stored(version.rules)
    replaced = queries.policy(membership.cooperative_id, version.replaces) if version.replaces else rules
    state = _state(version, in_force)
    return {
        "membership": membership,
        "version": version,
        "state": state,
        "changes": [
            (RULE_WORDS[each.rule], show_rule(each.rule, each.before), show_rule(each.rule, each.after))
            for each in rule_book.diff(replaced, rules)
        ],
        "rules": [(RULE_WORDS[name], show_rule(name, value)) for name, value in rule_book.as_dict(rules).items()],
        "may_adopt": state == "PROPOSED"
        and roles.may(membership.roles, "policy.adopt")
        and version.proposed_by_id != membership.pk,
    }


def _state(version: PolicyVersion, in_force: int) -> str:
    if hasattr(version, "adoption"):
        return "IN_FORCE" if version.number == in_force else "REPLACED"
    return "PROPOSED" if version.replaces == in_force else "SUPERSEDED"
