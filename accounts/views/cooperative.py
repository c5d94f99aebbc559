"""The cooperative: members, roles, money of its own, and which cooperative the pages act for."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries, services
from accounts.authentication import choose_cooperative, member_page
from accounts.core import policy, roles
from accounts.forms import RULE_WORDS, CreditIssueForm, InviteForm, MemberRolesForm, role_names, show_rule
from accounts.models import CreditIssue, Membership
from common import figures, money, refusals, versions
from common.clock import database_now
from common.errors import NotFound
from ledger import queries as ledger

RECENT_ISSUES = 20


@require_GET
@member_page("cooperative.view")
def cooperative(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Everything about the cooperative on one page."""
    return render_cooperative(request, membership)


@never_cache
@require_http_methods(["GET", "POST"])
@member_page("members.invite")
def create_invitation(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Make a link; it is on this answer and never again."""
    if request.method == "GET":
        return redirect("cooperative")
    form = InviteForm(request.POST)
    if not form.is_valid():
        return render_cooperative(request, membership, invite_form=form)
    invitation, token = services.invite(
        by=membership,
        roles=form.cleaned_data["roles"],
        email=form.cleaned_data["email"],
        now=database_now(),
    )
    link = request.build_absolute_uri(reverse("invite", args=[token]))
    if invitation.email:
        if services.mail_invitation(invitation=invitation, link=link):
            messages.success(request, _("The link is sent to %(address)s.") % {"address": invitation.email})
        else:
            messages.warning(request, _("The mail could not be sent. Hand the link over yourself."))
    return render_cooperative(request, membership, link=link)


@require_http_methods(["GET", "POST"])
@member_page("members.roles")
def member_roles(request: HttpRequest, membership: Membership, membership_id: int) -> HttpResponse:
    """Change what a member is."""
    member = queries.get_scoped(queries.members(membership.cooperative), membership, pk=membership_id)
    form = _roles_of(member)
    if request.method == "POST":
        form = MemberRolesForm(request.POST)
        if form.is_valid():
            try:
                services.set_roles(
                    by=membership, membership=member, roles=form.cleaned_data["roles"], version=form.seen
                )
            except versions.ChangedMeanwhile:
                member.refresh_from_db()
                form.keep(_roles_of(member))
            except services.LastSteward as error:
                form.refuse(error)
            else:
                messages.success(request, _("The roles of %(name)s are changed.") % {"name": member.user})
                return redirect("cooperative")
    context = {"member": member, "form": form, "is_self": member.pk == membership.pk}
    return render(request, "accounts/member_roles.html", context, status=422 if form.errors else 200)


def _roles_of(member: Membership) -> MemberRolesForm:
    return MemberRolesForm(initial={"roles": member.roles, "version": member.version})


@require_POST
@member_page("cooperative.view")
def end_membership(request: HttpRequest, membership: Membership, membership_id: int) -> HttpResponse:
    """Leave, or as a steward end somebody's membership."""
    member = queries.get_scoped(queries.members(membership.cooperative), membership, pk=membership_id)
    try:
        services.leave(membership=member, by=membership, now=database_now())
    except services.LastSteward as error:
        messages.error(request, refusals.told(error))
        return redirect("cooperative")
    messages.success(
        request,
        _("%(name)s has left %(cooperative)s.") % {"name": member.user, "cooperative": member.cooperative},
    )
    return redirect("home" if member.pk == membership.pk else "cooperative")


@require_POST
@member_page("cooperative.view")
def switch_cooperative(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Make another of one's memberships the one that pages act for."""
    wanted = request.POST.get("membership", "")
    chosen = queries.memberships_of(membership.user).filter(pk=wanted).first() if wanted.isdecimal() else None
    if chosen is None:
        raise NotFound(_("there is no such membership of yours"))
    choose_cooperative(request, chosen)
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = reverse("home")
    return redirect(target)


@require_http_methods(["GET", "POST"])
@member_page("credit.issue")
def propose_credit_issue(request: HttpRequest, membership: Membership) -> HttpResponse:
    """Issue credit, or leave it for a second steward."""
    if request.method == "GET":
        return redirect("cooperative")
    form = _credit_form(membership, request.POST)
    if form.is_valid():
        try:
            issue = services.propose_credit_issue(by=membership, now=database_now(), **form.cleaned_data)
        except (services.IssueRefused, services.IssuanceLimitReached) as error:
            form.refuse(error)
        else:
            if issue.state == CreditIssue.State.ISSUED:
                messages.success(request, _("The credit is issued."))
            else:
                messages.info(request, _("The credit waits for a second steward's approval."))
            return redirect("cooperative")
    return render_cooperative(request, membership, credit_form=form)


@require_POST
@member_page("credit.issue")
def decide_credit_issue(request: HttpRequest, membership: Membership, issue_id: int, decision: str) -> HttpResponse:
    """Approve or refuse what another steward proposed, or withdraw one's own."""
    issue = queries.get_scoped(CreditIssue.objects.all(), membership, pk=issue_id)
    act = {"approve": services.approve_credit_issue, "refuse": services.refuse_credit_issue}[decision]
    try:
        issue = act(by=membership, issue=issue, now=database_now())
    except (
        services.SecondStewardNeeded,
        services.AlreadyDecided,
        services.IssueRefused,
        services.IssuanceLimitReached,
    ) as error:
        messages.error(request, refusals.told(error))
    else:
        issued = issue.state == CreditIssue.State.ISSUED
        messages.success(request, _("The credit is issued.") if issued else _("The credit is refused."))
    return redirect("cooperative")


def render_cooperative(
    request: HttpRequest,
    membership: Membership,
    *,
    invite_form: InviteForm | None = None,
    credit_form: CreditIssueForm | None = None,
    link: str = "",
) -> HttpResponse:
    """The page, with a form that was refused or a link that is shown once."""
    may = {permission.replace(".", "_"): roles.may(membership.roles, permission) for permission in roles.PERMISSIONS}
    number, rules = queries.current_policy(membership.cooperative_id)
    context: dict[str, Any] = {
        "membership": membership,
        "may": may,
        "members": [
            {"membership": each, "roles": role_names(each.roles)} for each in queries.members(membership.cooperative)
        ],
        "funds": _funds(membership.cooperative_id, rules),
        "policy_number": number,
        "rules": [(RULE_WORDS[name], show_rule(name, value)) for name, value in policy.as_dict(rules).items()],
        "proposals": queries.policy_history(membership.cooperative_id).filter(adoption__isnull=True, replaces=number),
        "issues": _issues(membership),
        "now": database_now(),
        "link": link,
    }
    if may["members_invite"]:
        context["invitations"] = [
            {"invitation": each, "roles": role_names(each.roles)}
            for each in queries.open_invitations(membership.cooperative)
        ]
        context["requests"] = list(queries.waiting_requests(membership.cooperative_id))
        context["invite_form"] = invite_form or InviteForm(initial={"roles": [roles.MEMBER]})
    if may["credit_issue"]:
        context["credit_form"] = credit_form or _credit_form(membership)
    refused = any(form is not None and form.errors for form in (invite_form, credit_form))
    return render(request, "accounts/cooperative.html", context, status=422 if refused else 200)


def _credit_form(membership: Membership, data: Any = None) -> CreditIssueForm:
    return CreditIssueForm(data, targets=_targets(membership))


def _targets(membership: Membership) -> list[tuple[str, str]]:
    """Names with addresses, since two members may go by the same name."""
    own = queries.funds(membership.cooperative_id)
    words = {own["treasury"]: _("Treasury"), own["assurance"]: _("Assurance fund")}
    found = queries.issue_targets(membership.cooperative)
    return [(at, words[at] if member is None else f"{member.user} ({at})") for at, member in found.items()]


def _funds(cooperative_id: int, rules: policy.Rules) -> list[dict[str, str]]:
    """Balances of the cooperative's own accounts in credits; what is outstanding is the issuance's debt."""
    addresses = queries.funds(cooperative_id)
    balances = ledger.balances(list(addresses.values()))
    words = {
        "treasury": _("Treasury"),
        "assurance": _("Assurance fund"),
        "reserve": _("Reserve"),
        "issuance": _("Outstanding credit, of at most %(limit)s")
        % {"limit": figures.localised(money.format_credits(rules.issuance_limit_micro, 2))},
    }
    return [
        {
            "name": words[name],
            "address": address,
            "credits": figures.localised(
                money.format_credits(balances.get(address, 0) * (-1 if name == "issuance" else 1), 2)
            ),
        }
        for name, address in addresses.items()
    ]


def _issues(membership: Membership) -> list[dict[str, Any]]:
    names = dict(_targets(membership))
    return [
        {
            "issue": issue,
            "to": names.get(issue.to_address, issue.to_address),
            "credits": figures.localised(money.format_credits(issue.amount_micro, 2)),
            "is_open": issue.state == CreditIssue.State.PROPOSED,
            "is_own": issue.proposed_by_id == membership.pk,
        }
        for issue in queries.credit_issues(membership.cooperative)[:RECENT_ISSUES]
    ]
