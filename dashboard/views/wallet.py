"""The wallet: figures, statement with drill-down to postings, CSV."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from common import errors
from dashboard.core import sheets
from dashboard.queries import money as reads
from dashboard.queries.viewer import Viewer
from dashboard.views.entry import cursor, viewer_page

COLUMNS = ("made_at", "kind", "reason", "key", "amount_credits", "balance_credits")


@require_GET
@viewer_page("ledger.view_own")
def wallet(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the member has and how it came to be. The first page of the statement is live."""
    before, wish = cursor(request), _wish(request)
    asked = {name: value for name, value in (("month", wish.month), ("kind", wish.kind)) if value}
    context: dict[str, Any] = {
        "is_live": before is None and not asked,
        "member": viewer.membership,
        "wish": wish,
        "asked": urlencode(asked),
        "kinds": reads.KINDS,
        "months": reads.statement_months(viewer),
    }
    if not context["is_live"]:
        context["lines"], context["after"] = reads.statement(viewer, before, reads.PAGE_ROWS, wish)
    return render(request, "ledger/wallet.html", context)


@require_GET
@viewer_page("ledger.view_own")
def transfer(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Every posting of one transfer, named by its key; they sum to zero."""
    key = request.GET.get("key", "")
    try:
        sides = reads.transfer(viewer, key)
    except errors.NotFound as error:
        raise Http404 from error
    return render(request, "ledger/transfer.html", {"key": key, "sides": sides})


@require_GET
@viewer_page("ledger.view_own")
def statement_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The whole statement, or what the same address shows of it, as CSV; amounts in credits with all decimals."""
    answer = StreamingHttpResponse(_rows(viewer, _wish(request)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="statement.csv"'
    return answer


def _wish(request: HttpRequest) -> reads.Wish:
    """Month and kind in the address; nonsense is 404."""
    try:
        return reads.Wish(request.GET.get("month", ""), request.GET.get("kind", ""))
    except ValueError as error:
        raise Http404 from error


def _rows(viewer: Viewer, wish: reads.Wish) -> Iterator[str]:
    yield sheets.line(COLUMNS)
    for line in reads.whole_statement(viewer, wish):
        amounts = (sheets.credits(line.amount_micro), sheets.credits(line.balance_micro))
        yield sheets.line((line.made_at.isoformat(), line.kind, line.reason, line.key, *amounts))
