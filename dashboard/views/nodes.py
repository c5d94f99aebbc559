"""Pages of nodes: list, one node, its owner's and the stewards' acts, adding a machine."""

from collections.abc import Callable, Iterator
from functools import wraps

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import queries as accounts
from accounts.models import Membership
from common import errors, refusals, versions
from dashboard.core import sheets, wishes
from dashboard.forms.nodes import AddNodeForm, ReasonForm, SharesForm, TermsForm
from dashboard.queries import fleet
from dashboard.queries import machines as reads
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import Page, act, cursor, leave, refusals_said, viewer_page
from marketplace import services as market
from nodes import queries, services
from nodes.core import reasons, states
from nodes.models import Node

COLUMNS = (
    "id", "name", "state", "operator", "tier", "zone", "lots_sold", "lots", "asks_credits_per_core_hour",
    "earned_today_credits", "correctness_millionths", "heard_at",
)  # fmt: skip

Deed = Callable[[HttpRequest, Viewer, Node], str]


@require_GET
@viewer_page("nodes.view")
def nodes(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The cooperative's nodes, live. Search, state, order and cursor are in the address."""
    wish = _wish(request)
    context = {
        "wish": wish,
        "key": wishes.pack(wish.as_dict()),
        "may_add": viewer.may("nodes.add"),
        "is_mine_asked": wish.mine == "1",
        "csv": request.GET.urlencode(),
    }
    return render(request, "nodes/nodes.html", context)


@require_GET
@viewer_page("nodes.view")
def nodes_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Every node of the list as it is asked for, as CSV."""
    answer = StreamingHttpResponse(_csv(viewer, _wish(request)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="nodes.csv"'
    return answer


def _csv(viewer: Viewer, wish: fleet.Wish) -> Iterator[str]:
    yield sheets.line(COLUMNS)
    for row in fleet.every(viewer, wish):
        node = row.node
        yield sheets.line(
            (
                node.pk,
                node.name,
                "MISSING" if row.is_missing else node.state,
                str(node.operator.user),
                node.tier,
                node.zone,
                row.lots_sold,
                node.sellable_lots,
                "" if row.asks_micro is None else sheets.credits(row.asks_micro),
                sheets.credits(row.earned_micro),
                row.correctness_micro,
                node.last_seen_at.isoformat() if node.last_seen_at else "",
            )
        )


def _wish(request: HttpRequest) -> fleet.Wish:
    """What the address asks for; nonsense is 404. Values longer than a key takes are cut."""
    asked = {name: request.GET.get(name, "").strip()[:40] for name in fleet.NAMES}
    try:
        return fleet.Wish(**wishes.unpack(wishes.pack(asked), fleet.NAMES))
    except (ValueError, KeyError) as error:
        raise Http404 from error


@require_GET
@viewer_page("nodes.view")
def evidence(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """What was recorded about a node, page by page, and how a score comes of it."""
    found = _node(viewer, node_id)
    rows, after = reads.evidence(found, cursor(request))
    return render(request, "nodes/evidence.html", {"node": found, "rows": rows, "after": after})


@require_POST
@viewer_page("nodes.view")
def shares(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """The operator divides what the node earns from now on."""
    found = _node(viewer, node_id)
    form = SharesForm(request.POST, members=_members(viewer), shares=reads.shares(found))
    if form.is_valid():
        try:
            services.set_shares(by=viewer.membership, node=found, shares=form.shares(), version=form.seen)
        except versions.ChangedMeanwhile:
            form = SharesForm(request.POST, members=_members(viewer), shares=reads.shares(found))
            form.full_clean()
            form.keep(_shares_of(viewer, found))
        except errors.Invalid as error:
            form.add_error(None, refusals.told(error))
        except errors.NotFound as error:
            raise Http404 from error
        except errors.Forbidden as error:
            raise PermissionDenied(refusals.translated(error.detail)) from error
        else:
            messages.success(request, _("The shares are changed. They hold for what is settled from now on."))
            return leave(request, "node", node_id)
    return _page(request, viewer, found, shares_form=form)


@require_GET
@viewer_page("nodes.view")
def node(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """Everything about one node, live."""
    return _page(request, viewer, _node(viewer, node_id))


def _members(viewer: Viewer) -> QuerySet[Membership]:
    return accounts.members(viewer.membership.cooperative)


def _shares_of(viewer: Viewer, found: Node) -> SharesForm:
    version = queries.shares_version(found.pk)
    return SharesForm(members=_members(viewer), shares=reads.shares(found), initial={"version": version})


def _page(
    request: HttpRequest,
    viewer: Viewer,
    found: Node,
    form: TermsForm | None = None,
    shares_form: SharesForm | None = None,
) -> HttpResponse:
    is_mine = found.operator_id == viewer.membership.pk
    if form is None and is_mine:
        form = TermsForm.of(found)
    if shares_form is None and is_mine:
        shares_form = _shares_of(viewer, found)
    context = {
        "node": found,
        "is_mine": is_mine,
        "may_judge": viewer.may("nodes.quarantine"),
        "may_validate": viewer.may("nodes.validate"),
        "is_retired": found.state == states.RETIRED,
        "form": form,
        "shares_form": shares_form if is_mine else None,
        "reason_form": ReasonForm(),
    }
    refused = any(each is not None and each.errors for each in (form, shares_form))
    return render(request, "nodes/node.html", context, status=422 if refused else 200)


@require_POST
@viewer_page("nodes.view")
def terms(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """The owner's least price and limit."""
    found = _node(viewer, node_id)
    form = TermsForm(request.POST)
    if not form.is_valid():
        return _page(request, viewer, found, form)
    try:
        return act(
            request,
            lambda: market.set_node_terms(
                by=viewer.membership, node=found, now=viewer.now, version=form.seen, **form.terms()
            ),
            done=_("The terms are changed."),
            to="node",
            number=node_id,
        )
    except versions.ChangedMeanwhile:
        found = _node(viewer, node_id)
        form.keep(TermsForm.of(found))
        return _page(request, viewer, found, form)


def node_act(permission: str) -> Callable[[Deed], Page[[int]]]:
    """A form of the node's page: the view does one thing to the node and returns what to say then."""

    def decorate(deed: Deed) -> Page[[int]]:
        @require_POST
        @viewer_page(permission)
        @wraps(deed)
        def page(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
            found = _node(viewer, node_id)
            with refusals_said(request):
                messages.success(request, deed(request, viewer, found))
            return leave(request, "node", node_id)

        return page

    return decorate


@node_act("nodes.view")
def drain(_request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """Finish what runs, take no more."""
    services.drain(node=node, reason=reasons.DRAINED_BY_OWNER, by=viewer.membership, now=viewer.now)
    return _("The node finishes what it runs and takes no more work.")


@node_act("nodes.view")
def resume(_request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """Take work again."""
    services.resume(node=node, reason=reasons.RESUMED_BY_OWNER, by=viewer.membership, now=viewer.now)
    return _("The node takes work again.")


@node_act("nodes.view")
def retire(_request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """End the node for good."""
    services.retire(node=node, reason=reasons.RETIRED_BY_OWNER, by=viewer.membership, now=viewer.now)
    return _("The node is retired. Its key opens nothing any more.")


@node_act("nodes.view")
def appeal(request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """The owner's words about a quarantine."""
    services.appeal(node=node, by=viewer.membership, text=request.POST.get("text", ""), now=viewer.now)
    return _("Your appeal is on the node’s record; the stewards see it.")


@node_act("nodes.quarantine")
def quarantine(request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """A steward takes a node out of work, with words that its owner sees."""
    detail = request.POST.get("text", "")
    services.quarantine(
        node=node, reason=reasons.QUARANTINED_BY_STEWARD, by=viewer.membership, now=viewer.now, detail=detail
    )
    return _("The node is quarantined; its owner sees why.")


@node_act("nodes.quarantine")
def release(request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """A steward lets a node prove itself again."""
    detail = request.POST.get("text", "")
    services.release_from_quarantine(
        node=node, reason=reasons.RELEASED_BY_STEWARD, by=viewer.membership, now=viewer.now, detail=detail
    )
    return _("The node is released and is on probation again.")


@node_act("nodes.validate")
def validator(request: HttpRequest, viewer: Viewer, node: Node) -> str:
    """A steward names a node of the cooperative as validator, or takes that back."""
    is_validator = request.POST.get("is_validator") == "1"
    services.name_validator(by=viewer.membership, node=node, is_validator=is_validator, now=viewer.now)
    return _("The node is a validator.") if is_validator else _("The node is no validator any more.")


@never_cache
@require_http_methods(["GET", "POST"])
@viewer_page("nodes.add")
def add(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Terms first; the answer is one command with a token in it, and a panel that comes alive as the machine joins."""
    form = AddNodeForm(request.POST or None)
    if request.method == "GET" or not form.is_valid():
        context = {"form": form, "waiting": viewers.waiting_tokens(viewer)}
        return render(request, "nodes/add.html", context, status=422 if form.errors else 200)
    try:
        token, secret = services.create_join_token(membership=viewer.membership, now=viewer.now, **form.terms())
    except errors.AppError as error:
        messages.error(request, refusals.told(error))
        return leave(request, "add-node")
    origin = request.build_absolute_uri("/").rstrip("/")
    return render(request, "nodes/joining.html", {"token": token, "secret": secret, "origin": origin})


@require_GET
@viewer_page("nodes.add")
def joining(request: HttpRequest, viewer: Viewer, token_id: int) -> HttpResponse:
    """The same page again, without the secret, which is shown once."""
    try:
        token = viewers.join_token(viewer, token_id)
    except errors.NotFound as error:
        raise Http404 from error
    return render(request, "nodes/joining.html", {"token": token, "secret": "", "origin": ""})


def _node(viewer: Viewer, node_id: int) -> Node:
    try:
        return queries.get_node(viewer.cooperative_id, node_id)
    except errors.NotFound as error:
        raise Http404 from error
