"""The owner, and nobody else, sets the floor, the limit and the shares."""

import pytest
from django.db import IntegrityError, connection, transaction

from common.errors import NotFound
from nodes import queries, services
from nodes.models import NodeShare
from nodes.services.joining import TermsInvalid
from tests.nodes import agents


@pytest.fixture
def node(olga, now):
    return agents.working(olga, now)


def test_a_lower_limit_sells_fewer_lots_and_no_limit_all_that_were_measured(node, olga, now):
    lowered = services.set_terms(by=olga, node=node, floor_price_micro=9, limit_lots=1, now=now)
    assert (lowered.floor_price_micro, lowered.sellable_lots) == (9, 1)

    raised = services.set_terms(by=olga, node=node, floor_price_micro=9, limit_lots=None, now=now)
    assert (raised.sellable_lots, raised.state) == (4, "PROBATION")


@pytest.mark.parametrize("limit_lots", [0, -1, 10**7])
def test_a_limit_leaves_at_least_one_lot(node, olga, now, limit_lots):
    with pytest.raises(TermsInvalid):
        services.set_terms(by=olga, node=node, floor_price_micro=9, limit_lots=limit_lots, now=now)


def test_nobody_else_sets_terms(node, bob, charlie, now):
    with pytest.raises(services.NotYourNode):
        services.set_terms(by=bob, node=node, floor_price_micro=0, limit_lots=None, now=now)
    with pytest.raises(NotFound):
        services.set_terms(by=charlie, node=node, floor_price_micro=0, limit_lots=None, now=now)

    node.refresh_from_db()
    assert node.floor_price_micro == 1_000


def test_shares_are_replaced_whole(node, olga, alice):
    services.set_shares(by=olga, node=node, shares={olga.pk: 6_000, alice.pk: 4_000})

    assert queries.shares_of([node.pk]) == {
        node.pk: sorted([(olga.pk, olga.wallet, 6_000), (alice.pk, alice.wallet, 4_000)])
    }


def test_shares_that_do_not_sum_to_the_whole_are_refused(node, olga, alice, charlie):
    for shares in (
        {olga.pk: 9_999},
        {olga.pk: 10_001},
        {olga.pk: 10_000, alice.pk: 0},
        {olga.pk: 10_001, alice.pk: -1},
        {},
        {olga.pk: 5_000, charlie.pk: 5_000},
    ):
        with pytest.raises(services.SharesRefused):
            services.set_shares(by=olga, node=node, shares=shares)

    assert queries.shares_of([node.pk]) == {node.pk: [(olga.pk, olga.wallet, 10_000)]}


def test_nobody_else_sets_shares(node, bob):
    with pytest.raises(services.NotYourNode):
        services.set_shares(by=bob, node=node, shares={bob.pk: 10_000})


BROKEN = {
    "update": lambda node, alice: NodeShare.objects.filter(node=node).update(share_bp=9_000),
    "insert": lambda node, alice: NodeShare.objects.create(node=node, owner=alice, share_bp=1),
    "delete": lambda node, alice: NodeShare.objects.filter(node=node).delete(),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", sorted(BROKEN))
def test_the_database_refuses_shares_that_are_not_whole_at_commit(act, olga, alice, now):
    node = agents.working(olga, now)

    with pytest.raises(IntegrityError, match="basis points, not 10000"), transaction.atomic():
        BROKEN[act](node, alice)

    assert queries.shares_of([node.pk]) == {node.pk: [(olga.pk, olga.wallet, 10_000)]}


@pytest.mark.django_db(transaction=True)
def test_shares_may_be_moved_inside_one_transaction(olga, alice, now):
    node = agents.working(olga, now)

    with transaction.atomic():
        NodeShare.objects.filter(node=node).update(share_bp=2_500)
        NodeShare.objects.create(node=node, owner=alice, share_bp=7_500)

    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(share_bp) FROM nodes_nodeshare WHERE node_id = %s", [node.pk])
        assert cursor.fetchone() == (10_000,)
