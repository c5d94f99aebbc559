"""The market: depth, trades, own orders, the order ticket with its preview."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts import queries as accounts
from common import errors, money
from dashboard.core import offers
from dashboard.forms.market import NeedForm, TicketForm
from dashboard.queries import books
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import act, viewer_page
from marketplace import services
from marketplace.models import Book, Order
from nodes import queries as nodes
from nodes.core import states
from scheduler.core import assurance


@require_GET
@viewer_page("market.view")
def market(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """One book of the viewer's cooperative, chosen by class in the address."""
    open_books = books.books(viewer)
    wanted = request.GET.get("class")
    book = next((book for book in open_books if wanted in (None, book.resource_class.code)), None)
    if book is None and wanted is not None:
        raise Http404
    return _page(request, viewer, open_books, book)


@require_GET
@viewer_page("market.view")
def simple(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What somebody needs, in plain words, and the ways in which the book could serve it now."""
    open_books = books.books(viewer)
    asked = {name: request.GET[name] for name in NeedForm.base_fields if name in request.GET}
    initial = {name: field.initial for name, field in NeedForm.base_fields.items()}
    form = NeedForm(initial | asked)
    context: dict[str, Any] = {"form": form, "books": open_books, "may_submit": viewer.may("jobs.submit")}
    if form.is_valid() and open_books:
        asks = books.offered(viewer, open_books[0])
        context["offers"] = _offers(asks, form.cleaned_data)
        context["owners"] = len({ask.owner for ask in asks})
        context["runs"] = assurance.executions(form.cleaned_data["assurance"])
        context["assurance"] = form.cleaned_data["assurance"]
    page = "_offers" if getattr(request, "htmx", False) else "simple"
    return render(request, f"marketplace/{page}.html", context, status=422 if form.errors else 200)


def _offers(asks: list[offers.Ask], need: dict[str, Any]) -> list[offers.Offer]:
    runs = assurance.executions(need["assurance"])
    work, time = int(need["hours"] * 3600) * runs, int(need["within"] * 3600)
    return offers.offers(asks, core_seconds=work, within_seconds=time, owners=runs)


def _page(
    request: HttpRequest, viewer: Viewer, open_books: list[Book], book: Book | None, form: TicketForm | None = None
) -> HttpResponse:
    if form is None and book is not None:
        best = books.depth(viewer, book).best_sell_micro
        form = _ticket(viewer, {"price": best or ""})
    context = {
        "books": open_books,
        "book": book,
        "form": form,
        "may_trade": viewer.may("market.trade"),
        "may_add": viewer.may("nodes.add"),
    }
    return render(request, "marketplace/market.html", context, status=422 if form is not None and form.errors else 200)


def _ticket(viewer: Viewer, initial: dict[str, Any] | None = None, data: Any = None) -> TicketForm:
    own = nodes.nodes_operated_by(viewer.membership.pk).filter(state__in=states.WORKING)
    return TicketForm(data, initial=initial, nodes=own)


@require_GET
@viewer_page("market.trade")
def preview(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the ticket would do now: lots that trade at once, the effective price, what is set aside for an hour."""
    book = _book(viewer, request.GET.get("book", ""))
    form = _ticket(viewer, data=request.GET)
    is_unwritten = not request.GET.get("price", "").strip()
    context: dict[str, Any] = {"form": form, "book": book, "is_unwritten": is_unwritten}
    if form.is_valid():
        wish = form.cleaned_data
        context["wish"] = wish
        context["fill"] = books.would_fill(
            viewer, book, side=wish["side"], lots=wish["lots"], limit_micro=wish["price"]
        )
        context["most_micro"] = wish["price"] * wish["lots"]
        rules = accounts.current_policy(viewer.cooperative_id)[1]
        context["operator_micro"] = context["most_micro"] * rules.operator_bp // money.BASIS_POINTS
        context["operator_bp"] = rules.operator_bp
    return render(request, "marketplace/_preview.html", context)


@require_POST
@viewer_page("market.trade")
def place(request: HttpRequest, viewer: Viewer, book_id: int) -> HttpResponse:
    """Offer lots of an own node. Capacity is bought by the jobs that use it, so a ticket to buy leads there."""
    book = _book(viewer, str(book_id))
    form = _ticket(viewer, data=request.POST)
    if form.is_valid() and form.cleaned_data["side"] == Order.Side.BUY:
        form.add_error("side", _("Capacity is bought by running a job: submit one with this limit price."))
    if not form.is_valid():
        return _page(request, viewer, books.books(viewer), book, form)
    wish = form.cleaned_data
    return act(
        request,
        lambda: services.place_order(
            book=book,
            side=wish["side"],
            placed_by=viewer.membership,
            price_micro=wish["price"],
            lots=wish["lots"],
            time_in_force=wish["time_in_force"],
            node=wish["node"],
        ),
        done=_("The order is on its way to the book."),
        to="market",
    )


@require_POST
@viewer_page("market.trade")
def cancel(request: HttpRequest, viewer: Viewer, order_id: int) -> HttpResponse:
    """Take an order off the book; what traded stays traded."""
    try:
        order = viewers.own_order(viewer, order_id)
    except errors.NotFound as error:
        raise Http404 from error
    return act(
        request,
        lambda: services.cancel_order(order=order, by=viewer.membership),
        done=_("The order leaves the book; what has traded stays traded."),
        to="market",
    )


def _book(viewer: Viewer, number: str) -> Book:
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise Http404
    try:
        return viewers.book(viewer, int(number))
    except errors.NotFound as error:
        raise Http404 from error
