"""What is known about how well nodes do. Scores are millionths, 0 to 1 000 000."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, Sum

from accounts.models import Membership
from opengrid import score
from reputation.core.evidence import NEWCOMER_MICRO
from reputation.models import Contribution, Dimension, Evidence, PendingEvidence, Score


def scores(node_id: int) -> dict[str, int]:
    """The node's latest score of each dimension; a newcomer's where nothing was scored yet."""
    return scores_of([node_id])[node_id]


def scores_of(node_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """The latest scores of each of the nodes, every dimension of each."""
    answer = {node_id: {str(dimension): NEWCOMER_MICRO for dimension in Dimension} for node_id in node_ids}
    rows = Score.objects.filter(node_id__in=answer).order_by("node_id", "dimension")
    for node_id, dimension, score_micro in rows.values_list("node_id", "dimension", "score_micro"):
        answer[node_id][dimension] = score_micro
    return answer


@dataclass(frozen=True)
class Contributed:
    """What a member brought in: verified unit-milliseconds, accepted tasks of own models, and what it earned."""

    membership: Membership
    compute_ms: int
    model_tasks: int
    earned_micro: int


def contributed(cooperative_id: int, since: datetime, limit: int) -> list[Contributed]:
    """Who brought in what since then, who earned most first. Two queries."""
    rows = (
        Contribution.objects.filter(membership__cooperative=cooperative_id, at__gte=since)
        .values("membership")
        .annotate(
            compute=Sum("quantity", filter=Q(kind=Contribution.Kind.COMPUTE), default=0),
            tasks=Sum("quantity", filter=Q(kind=Contribution.Kind.MODEL), default=0),
            earned=Sum("earned_micro"),
        )
        .order_by("-earned", "membership")[:limit]
    )
    people = Membership.objects.select_related("user").in_bulk([row["membership"] for row in rows])
    return [Contributed(people[row["membership"]], row["compute"], row["tasks"], row["earned"]) for row in rows]


def operators_correctness(cooperative_id: int, now: datetime) -> dict[int, int]:
    """Membership id -> the public score of all that was checked on the nodes they operate. One query."""
    sums = (
        Score.objects.filter(node__cooperative=cooperative_id, dimension=Dimension.CORRECTNESS)
        .values("node__operator")
        .annotate(successes=Sum("successes"), failures=Sum("failures"))
        .order_by("node__operator")
    )
    moment = int(now.timestamp() * 1000)
    return {
        row["node__operator"]: score.Tally(int(row["successes"]), int(row["failures"])).score_micro(moment)
        for row in sums
    }


def nodes_with_pending_evidence() -> list[int]:
    """Nodes about which something was recorded that no score holds yet."""
    return list(PendingEvidence.objects.order_by("node_id").values_list("node_id", flat=True).distinct())


def rejections_in_last(node_id: int, n: int) -> int:
    """How many of the node's latest `n` checked results were rejected (evidence of correctness)."""
    latest = Evidence.objects.filter(node_id=node_id, dimension=Dimension.CORRECTNESS).order_by("-at", "-id")
    return sum(not success for success in latest.values_list("success", flat=True)[:n])
