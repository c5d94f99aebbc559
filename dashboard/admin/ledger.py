"""The books, to be read: trial balance, statement of an account, postings of a transfer. Nothing here writes."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Membership
from common import money
from dashboard.admin.section import EXPORT_ROWS, ROWS, steward
from dashboard.core import places
from dashboard.reasons import Words
from dashboard.views.entry import cursor
from ledger import queries as ledger
from ledger.core.addresses import BadAddress, check
from ledger.queries import StatementLine
from marketplace.models import Lease, Order
from scheduler.models import Job, Task

KINDS: dict[str, Words] = {
    "issuance": gettext_lazy("Issued credit, as a debt"),
    "treasury": gettext_lazy("Treasury"),
    "reserve": gettext_lazy("Reserve"),
    "assurance": gettext_lazy("Assurance fund"),
    "wallets": gettext_lazy("Wallets of the members"),
    "holds": gettext_lazy("Held for jobs, orders and leases, on the whole platform"),
    "others": gettext_lazy("Accounts of other cooperatives"),
}


@dataclass(frozen=True)
class Page:
    """What the frame is put around."""

    template: str
    context: dict[str, Any]


def trial_balance(request: HttpRequest) -> Page:
    """Totals by kind, which sum to zero, and the cooperative's accounts by address, a page at a time."""
    own = _own(steward(request))
    kinds = ledger.totals(steward(request).cooperative_id)
    after = request.GET.get("after", "")[:100]
    rows = ledger.accounts_under(own, after=after, limit=ROWS + 1)
    context = {
        "title": _("Ledger"),
        "kinds": [(KINDS[row.kind], row.balance_micro) for row in kinds],
        "total": sum(row.balance_micro for row in kinds),
        "accounts": rows[:ROWS],
        "after": rows[ROWS - 1].address if len(rows) > ROWS else "",
        "freezes": [(freeze.frozen_at, _own_findings(freeze.findings, own)) for freeze in ledger.open_freezes()],
    }
    return Page("console/ledger.html", context)


def account(request: HttpRequest) -> Page:
    """The statement of one account of the cooperative, newest first, with running balance."""
    address = _address(request)
    rows = ledger.statement(address, before_id=cursor(request), limit=ROWS + 1)
    context = {
        "title": address,
        "address": address,
        "balance": ledger.balance(address),
        "lines": rows[:ROWS],
        "before": rows[ROWS - 1].id if len(rows) > ROWS else None,
    }
    return Page("console/account.html", context)


def account_csv(request: HttpRequest) -> HttpResponseBase:
    """The whole statement as CSV."""
    answer = StreamingHttpResponse(_lines(_address(request)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="statement.csv"'
    return answer


def transfer(request: HttpRequest) -> Page:
    """Every posting of a transfer that touched an account of the cooperative."""
    key = request.GET.get("key", "")
    by = steward(request)
    entries = ledger.postings_of(key) if key else []
    visible = [_may_read(by, entry.address) for entry in entries]
    if not any(visible):
        raise Http404
    context = {"title": key, "entries": list(zip(entries, visible, strict=True))}
    return Page("console/transfer.html", context)


class _Echo:
    """A file that gives back what is written to it, for csv.writer."""

    def write(self, text: str) -> str:
        return text


def _lines(address: str) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(("at", "kind", "reason", "key", "credits", "balance"))
    before: int | None = None
    while rows := ledger.statement(address, before_id=before, limit=EXPORT_ROWS):
        for row in rows:
            yield writer.writerow(_cells(row))
        before = rows[-1].id


def _cells(row: StatementLine) -> tuple[str, ...]:
    reason = f"'{row.reason}" if row.reason.startswith(("=", "+", "-", "@", "\t", "\r")) else row.reason
    amounts = (money.format_credits(micro).replace(",", "") for micro in (row.amount_micro, row.balance_micro))
    return (row.made_at.isoformat(), row.kind, reason, row.key, *amounts)


def _own(by: Membership) -> str:
    return f"coop:{by.cooperative_id}:"


def _own_findings(findings: str, own: str) -> list[str]:
    """The lines that name an account of the cooperative; others' are not this steward's to read."""
    return [line for line in findings.splitlines() if own in line]


def _address(request: HttpRequest) -> str:
    try:
        address = check(request.GET.get("address", "").strip())
    except BadAddress as error:
        raise Http404 from error
    if not _may_read(steward(request), address):
        raise Http404
    return address


def _may_read(by: Membership, address: str) -> bool:
    """Whether the account is the cooperative's: its own, or set aside for something of it."""
    if address.startswith(_own(by)):
        return True
    place = places.place(address)
    number = place.number
    if place.kind == "job":
        return Job.objects.filter(pk=number, cooperative=by.cooperative_id).exists()
    if place.kind == "task":
        return Task.objects.filter(pk=number, job__cooperative=by.cooperative_id).exists()
    if place.kind == "order":
        return Order.objects.filter(pk=number, placed_by__cooperative=by.cooperative_id).exists()
    if place.kind == "lease":
        return Lease.objects.filter(pk=number, holder__cooperative=by.cooperative_id).exists()
    return False
