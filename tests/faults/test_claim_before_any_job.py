"""What the fault runs found: first claims and first offers of new machines waited for each other's locks."""

from common.clock import database_now
from marketplace.models import Pool
from scheduler.services import claims
from tests.nodes import agents


def test_a_claim_under_the_nodes_lock_never_opens_the_pool_whose_lock_comes_first(olga):
    node = agents.working(olga, database_now())

    claimed = claims.claim_work(node=node, max_tasks=1, now=database_now())

    assert claimed == []
    assert Pool.objects.count() == 0
