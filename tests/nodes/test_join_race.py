"""Two machines with one token at the same moment: one becomes a node."""

import threading

import pytest
from django.db import connection

from common.clock import database_now
from common.errors import AppError
from nodes import services
from nodes.models import JoinToken, Node, NodeEvent, NodeShare
from tests.nodes import agents

pytestmark = pytest.mark.django_db(transaction=True)


def run_together(acts):
    """Outcomes of `acts`, each in a thread with its own connection, started at one moment."""
    outcomes = [None] * len(acts)
    start = threading.Barrier(len(acts), timeout=30)

    def run(index, act):
        try:
            start.wait()
            outcomes[index] = act()
        except AppError as error:
            outcomes[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, act)) for index, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return outcomes


def test_of_many_keys_with_one_token_exactly_one_joins(olga):
    now = database_now()
    _, secret = services.create_join_token(membership=olga, floor_price_micro=1, now=now)
    requests = [agents.join_request(secret) for _ in range(6)]

    outcomes = run_together([lambda r=request: services.join(request=r, now=now) for request in requests])

    nodes = [outcome for outcome in outcomes if isinstance(outcome, Node)]
    assert len(nodes) == 1
    assert all(isinstance(outcome, services.JoinTokenUsed) for outcome in outcomes if outcome not in nodes)
    assert Node.objects.get() == nodes[0] == JoinToken.objects.get().used_by
    assert (NodeShare.objects.count(), NodeEvent.objects.count()) == (1, 1)


def test_one_key_that_joins_many_times_at_once_is_one_node(olga):
    now = database_now()
    _, secret = services.create_join_token(membership=olga, floor_price_micro=1, now=now)
    request = agents.join_request(secret)

    outcomes = run_together([lambda: services.join(request=request, now=now)] * 6)

    assert set(outcomes) == {Node.objects.get()}


def test_one_key_with_two_tokens_at_once_is_one_node(olga):
    now = database_now()
    private = agents.a_key()
    secrets = [services.create_join_token(membership=olga, floor_price_micro=1, now=now)[1] for _ in range(4)]
    requests = [agents.join_request(secret, private) for secret in secrets]

    outcomes = run_together([lambda r=request: services.join(request=r, now=now) for request in requests])

    assert sum(isinstance(outcome, Node) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, services.NodeKeyInUse) for outcome in outcomes) == 3
    assert JoinToken.objects.filter(used_at__isnull=False).count() == 1
