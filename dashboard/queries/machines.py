"""Reads of nodes for the pages: health, lots in use, earnings, scores, what they ran."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Coalesce, TruncHour

from dashboard.queries.viewer import Viewer
from marketplace import queries as market
from marketplace.models import Book, Lease, Order
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node, NodeEvent
from reputation import queries as reputation
from reputation.models import Contribution, Dimension, Evidence
from scheduler.models import Attempt

ATTEMPT_ROWS = 25
EVIDENCE_ROWS = 25
HOURS = 24


@dataclass(frozen=True)
class NodeRow:
    """One line of a list of nodes. Earnings are those of the day, of all owners together."""

    node: Node
    is_dark: bool
    is_mine: bool
    lots_sold: int
    asks_micro: int | None
    earned_micro: int
    correctness_micro: int

    @property
    def is_missing(self) -> bool:
        """Whether the node should be there and is not heard of."""
        return self.is_dark and self.node.state not in (states.JOINED, states.QUARANTINED, states.RETIRED)

    @property
    def lots_free(self) -> int:
        """Lots that nobody leases."""
        return max(0, self.node.sellable_lots - self.lots_sold)


def operated(viewer: Viewer) -> list[NodeRow]:
    """The viewer's own nodes that are not retired, by name."""
    return rows(viewer, nodes.nodes_operated_by(viewer.membership.pk).exclude(state=states.RETIRED))


def row(viewer: Viewer, node: Node) -> NodeRow:
    """One node as lists show it."""
    return rows(viewer, [node])[0]


def rows(viewer: Viewer, found: Iterable[Node]) -> list[NodeRow]:
    """Nodes as lists show them, in the order given. Four queries."""
    found = list(found)
    ids = [node.pk for node in found]
    sold = _lots_sold(ids)
    asks = _asks(ids)
    earned = earned_since(ids, viewer.day_began_at)
    scores = reputation.scores_of(ids)
    return [
        NodeRow(
            node=node,
            is_dark=nodes.is_dark(node, viewer.now),
            is_mine=node.operator_id == viewer.membership.pk,
            lots_sold=sold.get(node.pk, 0),
            asks_micro=asks.get(node.pk),
            earned_micro=earned.get(node.pk, 0),
            correctness_micro=scores[node.pk][Dimension.CORRECTNESS],
        )
        for node in found
    ]


def _lots_sold(node_ids: Iterable[int]) -> dict[int, int]:
    live = Lease.objects.filter(node__in=node_ids).exclude(state=Lease.State.CLOSED)
    return dict(live.values_list("node").annotate(lots=Sum("lots")).order_by("node"))


def _asks(node_ids: Iterable[int]) -> dict[int, int]:
    standing = Order.objects.filter(
        node__in=node_ids, is_standing=True, state__in=(Order.State.OPEN, Order.State.PARTIALLY_FILLED)
    )
    return dict(standing.values_list("node", "price_micro"))


def earned_since(node_ids: Iterable[int], since: datetime) -> dict[int, int]:
    """What nodes earned for all their owners since a moment, in micro-credits, by node."""
    rows = Contribution.objects.filter(node__in=list(node_ids), at__gte=since)
    return dict(rows.values_list("node_id").annotate(sum=Sum("earned_micro")).order_by("node_id"))


@dataclass(frozen=True)
class Earnings:
    """What a node earned for all its owners, in micro-credits, and what it did for it in the last day."""

    today_micro: int
    week_micro: int
    accepted: int
    rejected: int
    lost: int
    billed_ms: int


def earnings(viewer: Viewer, node: Node) -> Earnings:
    """Earnings of today and of seven days, and the attempts of the last 24 hours."""
    week = viewer.now - timedelta(days=7)
    ended = Attempt.objects.filter(node=node, finished_at__gte=viewer.now - timedelta(days=1)).aggregate(
        accepted=Count("pk", filter=Q(state=Attempt.State.ACCEPTED)),
        rejected=Count("pk", filter=Q(state=Attempt.State.REJECTED)),
        lost=Count("pk", filter=Q(state__in=(Attempt.State.LOST, Attempt.State.FAILED))),
        billed_ms_sum=Coalesce(Sum("billed_ms"), 0),
    )
    return Earnings(
        today_micro=earned_since([node.pk], viewer.day_began_at).get(node.pk, 0),
        week_micro=earned_since([node.pk], week).get(node.pk, 0),
        accepted=ended["accepted"],
        rejected=ended["rejected"],
        lost=ended["lost"],
        billed_ms=ended["billed_ms_sum"],
    )


@dataclass(frozen=True)
class ScoreLine:
    """A score and the evidence in it that spoke for and against the node."""

    dimension: str
    score_micro: int
    in_favour: int
    against: int


def scores(node: Node) -> list[ScoreLine]:
    """The node's scores with how much evidence there is."""
    counts = Evidence.objects.filter(node=node).values("dimension").order_by("dimension")
    annotated = counts.annotate(
        in_favour=Count("pk", filter=Q(success=True)), against=Count("pk", filter=Q(success=False))
    )
    spoken = {row["dimension"]: (row["in_favour"], row["against"]) for row in annotated}
    current = reputation.scores(node.pk)
    return [
        ScoreLine(
            dimension=dimension,
            score_micro=current[dimension],
            in_favour=spoken.get(dimension, (0, 0))[0],
            against=spoken.get(dimension, (0, 0))[1],
        )
        for dimension in Dimension.values
    ]


def attempts(node: Node) -> list[Attempt]:
    """What the node ran last, newest first."""
    return list(Attempt.objects.filter(node=node).select_related("task__job").order_by("-pk")[:ATTEMPT_ROWS])


@dataclass(frozen=True)
class Share:
    """A member's part of a node's earnings, in basis points."""

    owner: str
    owner_id: int
    share_bp: int


def shares(node: Node) -> list[Share]:
    """Who shares in the node's earnings. One query."""
    rows = node.shares.select_related("owner__user").order_by("-share_bp", "pk")
    found = [Share(str(share.owner.user), share.owner_id, share.share_bp) for share in rows]
    return found or [Share(str(node.operator.user), node.operator_id, nodes.WHOLE_BP)]


@dataclass(frozen=True)
class Hour:
    """What a node did in one hour that began then: paid and unpaid work in lot-milliseconds, and its earnings."""

    began_at: datetime
    worked_ms: int
    earned_micro: int


def by_hour(viewer: Viewer, node: Node) -> list[Hour]:
    """The last HOURS hours, oldest first; work counts in the hour in which it was taken. Two queries."""
    this = viewer.now.replace(minute=0, second=0, microsecond=0)
    hours = [this - timedelta(hours=back) for back in range(HOURS - 1, -1, -1)]
    taken = Attempt.objects.filter(node=node, claimed_at__gte=hours[0], metered_ms__isnull=False)
    worked = taken.annotate(hour=TruncHour("claimed_at")).values_list("hour").order_by("hour")
    paid = Contribution.objects.filter(node=node, at__gte=hours[0])
    earned = paid.annotate(hour=TruncHour("at")).values_list("hour").order_by("hour")
    ms = dict(worked.annotate(sum=Sum("metered_ms")))
    micro = dict(earned.annotate(sum=Sum("earned_micro")))
    return [Hour(hour, ms.get(hour, 0), micro.get(hour, 0)) for hour in hours]


@dataclass(frozen=True)
class Idle:
    """Why a node has nothing to do now: a typed reason, its own ask and the best bid beside it."""

    reason: str
    asks_micro: int | None
    bid_micro: int | None


def why_idle(viewer: Viewer, row: NodeRow) -> Idle | None:
    """Why the node runs nothing; None while it does. At most three queries."""
    node = row.node
    if Attempt.objects.filter(node=node, state=Attempt.State.RUNNING).exists():
        return None
    if node.state not in states.WORKING:
        return Idle(node.state_reason, None, None)
    if row.is_dark:
        return Idle("node_dark", None, None)
    if row.lots_sold:
        return Idle("leased_without_task", None, None)
    if row.asks_micro is None:
        return Idle("nothing_offered_by_node", None, None)
    books = Book.objects.filter(pool__cooperatives=viewer.cooperative_id)
    bids = Order.objects.filter(book__in=books, side=Order.Side.BUY, state__in=market.RESTING, open_lots__gt=0)
    best = bids.aggregate(best=Max("price_micro"))["best"]
    if best is None:
        return Idle("nobody_buys", row.asks_micro, None)
    return Idle("bids_below_ask" if best < row.asks_micro else "bids_do_not_fit", row.asks_micro, best)


def evidence(node: Node, before: int | None = None) -> tuple[list[Evidence], int | None]:
    """A page of what was recorded about a node, newest first, and the cursor of the next. One query."""
    rows = Evidence.objects.filter(node=node).order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: EVIDENCE_ROWS + 1])
    return found[:EVIDENCE_ROWS], found[EVIDENCE_ROWS - 1].pk if len(found) > EVIDENCE_ROWS else None


def quarantine(node: Node) -> list[NodeEvent]:
    """What was said since the node was quarantined, the quarantine itself first. One query."""
    if node.state != states.QUARANTINED:
        return []
    found: list[NodeEvent] = []
    for event in nodes.events_of(node):
        found.append(event)
        if event.to_state == states.QUARANTINED and event.from_state != states.QUARANTINED:
            break
    return found[::-1]
