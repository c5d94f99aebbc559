"""Pages of nodes: list, one node, its owner's and the stewards' acts, adding a machine."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from common import errors
from dashboard.forms import AddNodeForm, ReasonForm, TermsForm
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, leave, viewer_page
from marketplace import services as market
from nodes import queries, services
from nodes.core import reasons, states
from nodes.models import Node


@require_GET
@viewer_page("nodes.view")
def nodes(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every node of the cooperative, live."""
    return render(request, "nodes/nodes.html", {"may_add": viewer.may("nodes.add")})


@require_GET
@viewer_page("nodes.view")
def node(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """Everything about one node, live."""
    return _page(request, viewer, _node(viewer, node_id))


def _page(request: HttpRequest, viewer: Viewer, found: Node, form: TermsForm | None = None) -> HttpResponse:
    is_mine = found.operator_id == viewer.membership.pk
    if form is None and is_mine:
        form = TermsForm.of(found)
    context = {
        "node": found,
        "is_mine": is_mine,
        "may_judge": viewer.may("nodes.quarantine"),
        "may_validate": viewer.may("nodes.validate"),
        "is_retired": found.state == states.RETIRED,
        "form": form,
        "reason_form": ReasonForm(),
    }
    return render(request, "nodes/node.html", context, status=422 if form is not None and form.errors else 200)


@require_POST
@viewer_page("nodes.view")
def terms(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """The owner's least price and limit."""
    found = _node(viewer, node_id)
    form = TermsForm(request.POST)
    if not form.is_valid():
        return _page(request, viewer, found, form)
    return act(
        request,
        lambda: market.set_node_terms(by=viewer.membership, node=found, now=viewer.now, **form.terms()),
        done=_("The terms are changed."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.view")
def drain(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """Finish what runs, take no more."""
    found = _node(viewer, node_id)
    return act(
        request,
        lambda: services.drain(node=found, reason=reasons.DRAINED_BY_OWNER, by=viewer.membership, now=viewer.now),
        done=_("The node finishes what it runs and takes no more work."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.view")
def resume(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """Take work again."""
    found = _node(viewer, node_id)
    return act(
        request,
        lambda: services.resume(node=found, reason=reasons.RESUMED_BY_OWNER, by=viewer.membership, now=viewer.now),
        done=_("The node takes work again."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.view")
def retire(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """End the node for good."""
    found = _node(viewer, node_id)
    return act(
        request,
        lambda: services.retire(node=found, reason=reasons.RETIRED_BY_OWNER, by=viewer.membership, now=viewer.now),
        done=_("The node is retired. Its key opens nothing any more."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.view")
def appeal(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """The owner's words about a quarantine."""
    found = _node(viewer, node_id)
    text = request.POST.get("text", "")
    return act(
        request,
        lambda: services.appeal(node=found, by=viewer.membership, text=text, now=viewer.now),
        done=_("Your appeal is on the node’s record; the stewards see it."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.quarantine")
def quarantine(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """A steward takes a node out of work, with words that its owner sees."""
    found = _node(viewer, node_id)
    return act(
        request,
        lambda: services.quarantine(
            node=found,
            reason=reasons.QUARANTINED_BY_STEWARD,
            by=viewer.membership,
            now=viewer.now,
            detail=request.POST.get("text", ""),
        ),
        done=_("The node is quarantined; its owner sees why."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.quarantine")
def release(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """A steward lets a node prove itself again."""
    found = _node(viewer, node_id)
    return act(
        request,
        lambda: services.release_from_quarantine(
            node=found,
            reason=reasons.RELEASED_BY_STEWARD,
            by=viewer.membership,
            now=viewer.now,
            detail=request.POST.get("text", ""),
        ),
        done=_("The node is released and is on probation again."),
        to="node",
        number=node_id,
    )


@require_POST
@viewer_page("nodes.validate")
def validator(request: HttpRequest, viewer: Viewer, node_id: int) -> HttpResponse:
    """A steward names a node of the cooperative as validator, or takes that back."""
    found = _node(viewer, node_id)
    is_validator = request.POST.get("is_validator") == "1"
    return act(
        request,
        lambda: services.name_validator(by=viewer.membership, node=found, is_validator=is_validator, now=viewer.now),
        done=_("The node is a validator.") if is_validator else _("The node is no validator any more."),
        to="node",
        number=node_id,
    )


@never_cache
@require_http_methods(["GET", "POST"])
@viewer_page("nodes.add")
def add(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Terms first; the answer is one command with a token in it, and a panel that comes alive as the machine joins."""
    form = AddNodeForm(request.POST or None)
    if request.method == "GET" or not form.is_valid():
        return render(request, "nodes/add.html", {"form": form}, status=422 if form.errors else 200)
    try:
        token, secret = services.create_join_token(membership=viewer.membership, now=viewer.now, **form.terms())
    except errors.AppError as error:
        messages.error(request, f"{error.title}: {error.detail}")
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
