"""Recording evidence and contributions, and turning evidence into scores by the formula of opengrid.score.

Recording inserts and never waits for a score. A rescore takes the evidence that is pending, adds it to
the node's tally and computes; recomputing from all evidence gives the same score.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from django.db import connection, transaction

from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node
from opengrid import score
from reputation.core import evidence
from reputation.core.evidence import NEWCOMER_MICRO, BadEvidence, NewContribution, NewEvidence
from reputation.models import Contribution, Dimension, Score

__all__ = [
    "BadEvidence",
    "NewContribution",
    "NewEvidence",
    "record",
    "record_contributions",
    "record_uptime",
    "rescore",
]

RECORD = """
WITH recorded AS (
  INSERT INTO reputation_evidence (node_id, dimension, success, weight_milli, reason, reference, at)
  SELECT node_id, dimension, success, weight_milli, reason, reference, at
    FROM unnest(%s::bigint[], %s::text[], %s::boolean[], %s::int[], %s::text[], %s::text[], %s::timestamptz[])
         WITH ORDINALITY AS new (node_id, dimension, success, weight_milli, reason, reference, at, place)
   ORDER BY place
      ON CONFLICT (reference, dimension) DO NOTHING RETURNING id, node_id)
INSERT INTO reputation_pendingevidence (evidence_id, node_id) SELECT id, node_id FROM recorded
"""
TAKE_PENDING = """
WITH taken AS (DELETE FROM reputation_pendingevidence WHERE node_id = ANY(%s) RETURNING evidence_id)
SELECT node_id, dimension, success, reason, reference, at, weight_milli
  FROM reputation_evidence JOIN taken ON evidence_id = id
"""


def record(*, items: Sequence[NewEvidence]) -> int:
    """Record facts in one statement and return how many were new; those recorded before are left out.

    They are inserted by reference, so that two recorders cannot wait for each other. Raises: BadEvidence.
    """
    new = sorted((evidence.check(item) for item in items), key=lambda item: (item.reference, item.dimension))
    columns = ("node_id", "dimension", "success", "weight_milli", "reason", "reference", "at")
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(RECORD, [[getattr(item, column) for item in new] for column in columns])
        return int(cursor.rowcount)


@transaction.atomic
def rescore(*, node_ids: Iterable[int], now: datetime) -> None:
    """Bring the scores of these nodes up to what is recorded, decayed to `now`.

    1. Lock the nodes' score rows in order; whoever rescores the same node next will see what this adds.
    2. Take the pending evidence that is visible.  3. Add it to the tallies, compute, write.
    """
    wanted = sorted(set(node_ids))
    rows = _lock_scores(wanted, now)
    facts = _take_pending(wanted)
    for row in rows:
        _compute(row, facts[row.node_id, row.dimension], now)
    Score.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["node", "dimension"],
        update_fields=["score_micro", "computed_at", "successes", "failures"],
    )


@transaction.atomic(savepoint=False)
def record_contributions(*, items: Sequence[NewContribution]) -> None:
    """Record what members contributed; a reference that is known is left out."""
    Contribution.objects.bulk_create(
        [
            Contribution(
                membership_id=item.membership_id,
                node_id=item.node_id,
                kind=item.kind,
                quantity=item.quantity,
                earned_micro=item.earned_micro,
                reference=item.reference,
                at=item.at,
            )
            for item in sorted(items, key=lambda item: item.reference)
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def record_uptime(*, now: datetime) -> int:
    """Note for this minute of each node that should be working whether it was heard of; return how many.

    A node that is joining, draining, in quarantine or retired promises nothing and is not judged.
    """
    minute = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
    working = Node.objects.filter(state__in=states.WORKING).order_by("id")
    items = [
        NewEvidence(
            node_id=node.pk,
            dimension=Dimension.UPTIME,
            success=not dark,
            reason="not_heard" if dark else "heard",
            reference=f"uptime:{node.pk}:{minute}",
            at=now,
        )
        for node in working
        for dark in [nodes.is_dark(node, now)]
    ]
    recorded = record(items=items)
    rescore(node_ids=[item.node_id for item in items], now=now)
    return recorded


def _lock_scores(node_ids: Sequence[int], now: datetime) -> list[Score]:
    rows = Score.objects.select_for_update().filter(node_id__in=node_ids).order_by("node_id", "dimension")
    locked = list(rows)
    if len(locked) == len(node_ids) * len(Dimension):
        return locked
    Score.objects.bulk_create(
        [
            Score(node_id=node_id, dimension=dimension, score_micro=NEWCOMER_MICRO, computed_at=now)
            for node_id in node_ids
            for dimension in sorted(Dimension)
        ],
        ignore_conflicts=True,
    )
    return list(rows.all())


def _take_pending(node_ids: Sequence[int]) -> dict[tuple[int, str], list[NewEvidence]]:
    facts: dict[tuple[int, str], list[NewEvidence]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(TAKE_PENDING, [list(node_ids)])
        for row in cursor.fetchall():
            fact = NewEvidence(*row)
            facts[fact.node_id, fact.dimension].append(fact)
    return facts


def _compute(row: Score, facts: Sequence[NewEvidence], now: datetime) -> None:
    tally = evidence.add_all(score.Tally(int(row.successes), int(row.failures)), facts)
    row.successes, row.failures = tally.successes, tally.failures
    row.computed_at = evidence.score_moment(now, facts, not_before=row.computed_at)
    row.score_micro = tally.score_micro(evidence.unix_ms(row.computed_at))
