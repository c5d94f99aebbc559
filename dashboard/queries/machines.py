"""Reads of nodes for the pages: health, lots in use, earnings, scores, what they ran."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce

from dashboard.queries.viewer import Viewer
from marketplace.models import Lease, Order
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from reputation import queries as reputation
from reputation.models import Contribution, Dimension, Evidence
from scheduler.models import Attempt

ATTEMPT_ROWS = 25


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


def listed(viewer: Viewer) -> list[NodeRow]:
    """The cooperative's nodes, the viewer's own first, retired ones last. Five queries."""
    rows = nodes.nodes_of(viewer.cooperative_id)
    found = _rows(viewer, rows)
    return sorted(found, key=lambda row: (row.node.state == states.RETIRED, not row.is_mine, row.node.name))


def operated(viewer: Viewer) -> list[NodeRow]:
    """The viewer's own nodes that are not retired, by name."""
    return _rows(viewer, nodes.nodes_operated_by(viewer.membership.pk).exclude(state=states.RETIRED))


def row(viewer: Viewer, node: Node) -> NodeRow:
    """One node as lists show it."""
    return _rows(viewer, [node])[0]


def _rows(viewer: Viewer, rows: Iterable[Node]) -> list[NodeRow]:
    rows = list(rows)
    ids = [node.pk for node in rows]
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
        for node in rows
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
    share_bp: int


def shares(node: Node) -> list[Share]:
    """Who shares in the node's earnings."""
    rows = node.shares.select_related("owner__user").order_by("-share_bp", "pk")
    found = [Share(str(share.owner.user), share.share_bp) for share in rows]
    return found or [Share(str(node.operator.user), nodes.WHOLE_BP)]
