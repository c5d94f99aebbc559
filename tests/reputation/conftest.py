"""Nodes to judge, facts about them, and threads that start together."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from nodes.models import Node
from opengrid import score
from reputation.core import evidence
from reputation.models import Evidence
from reputation.services import NewEvidence


@pytest.fixture
def make_node(olga):
    """A node of Olga's in any state."""
    numbers = itertools.count(1)

    def make(state="ACTIVE", **fields):
        n = next(numbers)
        return Node.objects.create(
            cooperative=olga.cooperative,
            operator=olga,
            name=f"node {n}",
            public_key=f"key {n}",
            state=state,
            sellable_lots=4,
            floor_price_micro=1,
            **fields,
        )

    return make


@pytest.fixture
def node(make_node):
    return make_node()


@pytest.fixture
def fact(node, now):
    """A fact about the node, by default a correct result just now."""

    def make(reference, *, success=True, dimension="correctness", age=timedelta(0), **more):
        fields = {"node_id": node.pk, "reason": "agreed" if success else "disagreed", "at": now - age} | more
        return NewEvidence(dimension=dimension, success=success, reference=reference, **fields)

    return make


def recomputed(node_id, at):
    """The scores by the public formula from the stored evidence alone."""
    items = [
        score.EvidenceItem(evidence.unix_ms(row.at), score.Dimension(row.dimension), row.success, row.weight_milli)
        for row in Evidence.objects.filter(node_id=node_id).order_by("?")
    ]
    return {str(dimension): micro for dimension, micro in score.score(items, evidence.unix_ms(at)).items()}


@pytest.fixture
def from_evidence_alone(db):
    return recomputed


@pytest.fixture
def together(transactional_db):
    """Run acts in threads of their own, released at the same moment."""

    def run_all(*acts):
        barrier = threading.Barrier(len(acts), timeout=30)

        def run(act):
            try:
                barrier.wait()
                return act()
            finally:
                connection.close()

        with ThreadPoolExecutor(len(acts)) as threads:
            return list(threads.map(run, acts))

    return run_all
