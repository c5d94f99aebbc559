"""Reads of a member's credits for the pages: available, held, earned; the statement and its postings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, Sum

from common import errors
from dashboard.core import months, places
from dashboard.queries.purposes import Purpose, purposes
from dashboard.queries.viewer import Viewer
from ledger import queries as ledger
from ledger.core.postings import Entry
from ledger.queries import StatementLine
from marketplace.models import Lease, Order
from reputation.models import Contribution
from scheduler import queries as scheduler
from scheduler.models import Job

PAGE_ROWS = 50
EXPORT_ROWS = 500


@dataclass(frozen=True)
class Purse:
    """What a member has, in micro-credits. Held credits lie aside for jobs, orders and leases."""

    available_micro: int
    held_micro: int
    earned_today_micro: int


def available(viewer: Viewer) -> int:
    """Micro-credits the member can spend now. One query."""
    return ledger.balance(viewer.membership.wallet)


def purse(viewer: Viewer) -> Purse:
    """What the member has and earned since midnight."""
    wallet = viewer.membership.wallet
    found = ledger.balances([wallet, *_holds(viewer)])
    earned = Contribution.objects.filter(membership=viewer.membership, at__gte=viewer.day_began_at)
    return Purse(
        available_micro=found.pop(wallet),
        held_micro=sum(found.values()),
        earned_today_micro=earned.aggregate(sum=Sum("earned_micro", default=0))["sum"],
    )


@dataclass(frozen=True)
class Held:
    """Credits lying aside, and for which job if it is one."""

    address: str
    amount_micro: int
    job: Job | None


def held(viewer: Viewer) -> list[Held]:
    """What is set aside for the member, largest first."""
    jobs = {job.hold_address: job for job in Job.objects.filter(submitter=viewer.membership, closed_at__isnull=True)}
    found = ledger.balances(_holds(viewer))
    rows = [Held(address, amount, jobs.get(address)) for address, amount in found.items() if amount]
    return sorted(rows, key=lambda row: (-row.amount_micro, row.address))


def _holds(viewer: Viewer) -> list[str]:
    """Addresses that may hold credits of the member."""
    return viewer.once("holds", lambda: _addresses(viewer))


def _addresses(viewer: Viewer) -> list[str]:
    jobs = Job.objects.filter(submitter=viewer.membership, closed_at__isnull=True).values_list("pk", flat=True)
    orders = Order.objects.filter(placed_by=viewer.membership, reference="").filter(
        ~Q(hold_address=""), ~Q(state__in=(Order.State.CANCELLED, Order.State.REJECTED))
    )
    leases = Lease.objects.filter(holder=viewer.membership, reference="").exclude(state=Lease.State.CLOSED)
    return [
        *(f"hold:job:{number}" for number in jobs),
        *orders.values_list("hold_address", flat=True).distinct(),
        *(f"hold:lease:{number}" for number in leases.values_list("pk", flat=True)),
    ]


KINDS = ("issue", "send", "hold", "release", "settlement", "reversal")
"""Kinds of transfers by which a statement can be narrowed."""


@dataclass(frozen=True)
class Wish:
    """Which part of a statement somebody wants: a month such as 2026-11 and a kind of transfer; empty is any.

    Raises: ValueError for what is neither.
    """

    month: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        if self.kind and self.kind not in KINDS:
            raise ValueError(f"found the kind {self.kind[:20]!r}; accepted are {', '.join(KINDS)}")
        if self.month:
            months.check(self.month)

    def period(self, now: datetime) -> tuple[datetime, datetime] | None:
        """From when to when, None for always."""
        return months.period(self.month, now) if self.month else None

    @property
    def kinds(self) -> tuple[str, ...]:
        """As the ledger spells them."""
        return (self.kind, self.kind.upper()) if self.kind else ()


EVERYTHING = Wish()


@dataclass(frozen=True)
class Line:
    """One line of the statement, the job it is about, if any, and everything it was for that the viewer may see."""

    entry: StatementLine
    job_id: int | None
    purposes: list[Purpose]


def statement(
    viewer: Viewer, before: int | None = None, limit: int = PAGE_ROWS, wish: Wish = EVERYTHING
) -> tuple[list[Line], int | None]:
    """A page of the member's statement, newest first, and the cursor of the next page. At most five queries."""
    rows = _entries(viewer, before, limit + 1, wish)
    page = rows[:limit]
    found = purposes(viewer, page)
    lines = [Line(row, found.jobs.get(row.key), found.of.get(row.key, [])) for row in page]
    return lines, page[-1].id if len(rows) > limit else None


def whole_statement(viewer: Viewer, wish: Wish = EVERYTHING) -> Iterator[StatementLine]:
    """Every line of the member's statement that is wished for, newest first."""
    before: int | None = None
    while rows := _entries(viewer, before, EXPORT_ROWS, wish):
        yield from rows
        before = rows[-1].id


def statement_months(viewer: Viewer) -> list[datetime]:
    """The months that the member's statement reaches over, the latest first. One query."""
    first = ledger.first_at(viewer.membership.wallet)
    return [] if first is None else list(months.between(first, viewer.now))


def _entries(viewer: Viewer, before: int | None, limit: int, wish: Wish) -> list[StatementLine]:
    return ledger.statement(
        viewer.membership.wallet, before_id=before, limit=limit, kinds=wish.kinds, period=wish.period(viewer.now)
    )


@dataclass(frozen=True)
class Side:
    """One posting of a transfer, and what its address stands for."""

    address: str
    place: places.Place
    is_mine: bool
    amount_micro: int


def transfer(viewer: Viewer, key: str) -> list[Side]:
    """Every posting of a transfer that touched the member, or any for those whose role says so.

    Raises: errors.NotFound.
    """
    entries = ledger.postings_of(key)
    if not entries or not (_touches(viewer, entries) or _may_see_all(viewer, entries)):
        raise errors.NotFound
    return [
        Side(entry.address, places.place(entry.address), entry.address == viewer.membership.wallet, entry.amount_micro)
        for entry in entries
    ]


def _touches(viewer: Viewer, entries: Sequence[Entry]) -> bool:
    if any(entry.address == viewer.membership.wallet for entry in entries):
        return True
    held_for = [places.place(entry.address) for entry in entries]
    jobs = [place.number for place in held_for if place.kind == "job"]
    return bool(jobs) and scheduler.visible_jobs(viewer.membership).filter(pk__in=jobs).exists()


def _may_see_all(viewer: Viewer, entries: Sequence[Entry]) -> bool:
    own = f"coop:{viewer.cooperative_id}:"
    return viewer.may("ledger.view_all") and any(entry.address.startswith(own) for entry in entries)
