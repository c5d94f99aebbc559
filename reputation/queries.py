"""What is known about how well nodes do. Scores are millionths, 0 to 1 000 000."""

from collections.abc import Iterable

from reputation.core.evidence import NEWCOMER_MICRO
from reputation.models import Dimension, Evidence, PendingEvidence, Score


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


def nodes_with_pending_evidence() -> list[int]:
    """Nodes about which something was recorded that no score holds yet."""
    return list(PendingEvidence.objects.order_by("node_id").values_list("node_id", flat=True).distinct())


def rejections_in_last(node_id: int, n: int) -> int:
    """How many of the node's latest `n` checked results were rejected (evidence of correctness)."""
    latest = Evidence.objects.filter(node_id=node_id, dimension=Dimension.CORRECTNESS).order_by("-at", "-id")
    return sum(not success for success in latest.values_list("success", flat=True)[:n])
