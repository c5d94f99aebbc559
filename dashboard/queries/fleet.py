"""The list of nodes: search, states, orders, cursor, counts. What each line shows is in `machines`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from dashboard.queries import machines
from dashboard.queries.viewer import Viewer
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from reputation.core.evidence import NEWCOMER_MICRO
from reputation.models import Contribution, Dimension, Score

PAGE_ROWS = 50
NAMES = ("q", "state", "sort", "mine", "after")
SORTS = ("name", "newest", "load", "earned", "score")
STATES: Mapping[str, Q] = {
    "": ~Q(state=states.RETIRED),
    "working": Q(state__in=states.WORKING),
    "missing": Q(state__in=(states.BENCHMARKED, states.DRAINING, *states.WORKING)),
    "draining": Q(state=states.DRAINING),
    "quarantined": Q(state=states.QUARANTINED),
    "retired": Q(state=states.RETIRED),
}
"""Filter -> which nodes it shows. `missing` is narrowed to those that are not heard of."""


@dataclass(frozen=True)
class Wish:
    """What the list is asked for, as its address says it. Raises on creation: KeyError for an unknown state or sort."""

    q: str = ""
    state: str = ""
    sort: str = ""
    mine: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        STATES[self.state]
        if (self.sort or "name") not in SORTS:
            raise KeyError(self.sort)

    def as_dict(self) -> dict[str, str]:
        """By name, in the order of NAMES."""
        return {name: getattr(self, name) for name in NAMES}


@dataclass(frozen=True)
class Page:
    """Lines of the list, how many nodes each filter would show, and the cursor of the next page."""

    rows: list[machines.NodeRow]
    counts: Mapping[str, int]
    after: str


def page(viewer: Viewer, wish: Wish) -> Page:
    """One page. Six queries."""
    found = list(_ordered(viewer, _wished(viewer, wish), wish.sort or "name", wish.after)[: PAGE_ROWS + 1])
    shown = found[:PAGE_ROWS]
    after = _cursor(shown[-1], wish.sort or "name") if len(found) > PAGE_ROWS else ""
    return Page(machines.rows(viewer, shown), counts(viewer), after)


def every(viewer: Viewer, wish: Wish) -> Iterator[machines.NodeRow]:
    """All the lines of the list, page by page, for a file."""
    after = ""
    while True:
        found = list(_ordered(viewer, _wished(viewer, wish), "name", after)[:PAGE_ROWS])
        yield from machines.rows(viewer, found)
        if len(found) < PAGE_ROWS:
            return
        after = _cursor(found[-1], "name")


def counts(viewer: Viewer) -> dict[str, int]:
    """How many nodes each state filter shows. One query."""
    dark = _dark(viewer)
    named = {f"n_{name or 'all'}": Count("pk", filter=Q(STATES[name])) for name in STATES}
    named["n_missing"] = Count("pk", filter=STATES["missing"] & dark)
    found = Node.objects.filter(cooperative_id=viewer.cooperative_id).aggregate(**named)
    return {name: found[f"n_{name or 'all'}"] for name in STATES}


def _dark(viewer: Viewer) -> Q:
    last = viewer.now - timedelta(seconds=nodes.DARK_SECONDS)
    return Q(last_seen_at__isnull=True) | Q(last_seen_at__lt=last)


def _wished(viewer: Viewer, wish: Wish) -> QuerySet[Node]:
    rows = nodes.nodes_of(viewer.cooperative_id).filter(STATES[wish.state])
    if wish.state == "missing":
        rows = rows.filter(_dark(viewer))
    if wish.q:
        who = Q(operator__user__display_name__icontains=wish.q)
        rows = rows.filter(Q(name__icontains=wish.q) | Q(zone__icontains=wish.q) | Q(tier__iexact=wish.q) | who)
    if wish.mine:
        rows = rows.filter(operator=viewer.membership)
    return rows


def _ordered(viewer: Viewer, rows: QuerySet[Node], sort: str, after: str) -> QuerySet[Any]:
    if sort == "name":
        name, _, pk = after.rpartition(":")
        behind = Q(name__gt=name) | Q(name=name, pk__gt=_whole(pk)) if after else Q()
        return rows.filter(behind).order_by("name", "pk")
    rows = rows.annotate(rank=_rank(viewer, sort))
    rank, _, pk = after.partition(":")
    behind = Q(rank__lt=_whole(rank)) | Q(rank=_whole(rank), pk__lt=_whole(pk)) if after else Q()
    return rows.filter(behind).order_by("-rank", "-pk")


def _rank(viewer: Viewer, sort: str) -> Any:
    if sort == "newest":
        return F("pk")
    if sort == "load":
        return F("reported_load_permille")
    if sort == "score":
        score = Score.objects.filter(node=OuterRef("pk"), dimension=Dimension.CORRECTNESS)
        return Coalesce(Subquery(score.values("score_micro")[:1]), Value(NEWCOMER_MICRO))
    earned = Contribution.objects.filter(node=OuterRef("pk"), at__gte=viewer.day_began_at).values("node")
    return Coalesce(Subquery(earned.annotate(sum=Sum("earned_micro")).values("sum")), Value(0))


def _cursor(node: Any, sort: str) -> str:
    return f"{node.name}:{node.pk}" if sort == "name" else f"{node.rank}:{node.pk}"


def _whole(text: str) -> int:
    """The number in a cursor; nonsense is 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
