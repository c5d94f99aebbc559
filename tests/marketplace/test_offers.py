"""Offers of nodes: one that stands, is renewed and withdrawn, and nodes that stop, shrink or change hands."""

import pytest

from common import errors
from common.clock import database_now
from marketplace import queries
from marketplace import services as market_services
from marketplace.models import BookInput, JournalEvent, Lease, Order
from nodes.models import Node
from tests.marketplace import market


def test_a_standing_offer_keeps_its_sequence_through_renewals(alice, olga, pete, tick):
    first = market.offer(market.a_node(olga), 1, 7)
    second = market.offer(market.a_node(pete), 1, 7)
    tick()
    first.refresh_from_db()
    sequence = first.sequence
    for _ in range(3):
        market.buy(alice, 1, 9, time_in_force="IOC")
        tick()
        market.give_back(Lease.objects.get(state="LIVE", trade__sell_order=first))
        tick()

    assert market.state_of(first) == ("OPEN", "lease_returned", 1, 3)
    assert first.sequence == sequence
    assert market.state_of(second) == ("OPEN", "", 1, 0)


def test_the_same_offer_again_changes_nothing(olga, tick):
    node = market.a_node(olga)
    orders = [market.offer(node, 4, 7), market.offer(node, 4, 7)]
    tick()
    orders.append(market.offer(node, 9, 7))  # more than there is counts as all there is

    assert len({order.pk for order in orders}) == 1
    assert not BookInput.objects.exists()


def test_another_offer_replaces_the_one_before(alice, olga, tick):
    node = market.a_node(olga)
    old = market.offer(node, 4, 7)
    tick()

    new = market.offer(node, 2, 8)
    bid = market.buy(alice, 9, 9)
    tick()

    assert market.state_of(old)[:2] == ("CANCELLED", "offer_replaced")
    assert market.state_of(new) == ("PARTIALLY_FILLED", "traded", 0, 2)
    assert market.state_of(bid)[3] == 2


def test_offers_replaced_faster_than_the_matcher_ticks_leave_one(olga, tick):
    node = market.a_node(olga)
    orders = [market.offer(node, 4, price) for price in (7, 8, 7, 9)]

    tick()

    assert [market.state_of(order)[0] for order in orders] == ["CANCELLED"] * 3 + ["OPEN"]


def test_an_offer_below_the_owners_floor_is_refused(olga):
    node = market.a_node(olga, floor_price_micro=8)

    with pytest.raises(market_services.PriceBelowFloor, match="7 micro"):
        market.offer(node, 4, 7)

    assert not Order.objects.exists()


@pytest.mark.parametrize("state", ["JOINED", "BENCHMARKED", "DRAINING", "QUARANTINED", "RETIRED"])
def test_a_node_that_does_not_work_is_not_offered(olga, state):
    with pytest.raises(market_services.NodeNotOfferable, match=state):
        market.offer(market.a_node(olga, state=state))


def test_a_withdrawn_offer_leaves_its_leases(alice, olga, tick):
    node = market.a_node(olga)
    ask = market.offer(node)
    market.buy(alice, 1)
    tick()

    market_services.withdraw_offer(node=node)
    tick()

    assert market.state_of(ask)[:2] == ("CANCELLED", "offer_withdrawn")
    assert Lease.objects.get().state == "LIVE"


@pytest.mark.parametrize("state", ["DRAINING", "QUARANTINED", "RETIRED"])
def test_a_node_that_stops_sells_nothing_new_and_keeps_its_leases(alice, olga, tick, state):
    node = market.a_node(olga)
    market.offer(node)
    market.buy(alice, 1)
    tick()
    Node.objects.filter(pk=node.pk).update(state=state)
    bid = market.buy(alice, 1)

    tick()

    assert market.state_of(bid)[0] == "OPEN"
    assert JournalEvent.objects.filter(kind="CAPACITY").last().payload["reason"] == f"node_{state.lower()}"
    Node.objects.filter(pk=node.pk).update(state="ACTIVE")
    tick()
    assert market.state_of(bid)[0] == ("FILLED")


def test_a_dark_node_sells_nothing_until_it_is_heard_again(alice, olga, tick):
    node = market.a_node(olga)
    market.offer(node)
    tick()
    Node.objects.filter(pk=node.pk).update(last_seen_at=None)
    bid = market.buy(alice, 1)
    tick()
    assert market.state_of(bid)[0] == "OPEN"
    assert queries.depth(market_services.book_for(alice.cooperative)).asks == []

    Node.objects.filter(pk=node.pk).update(last_seen_at=database_now())
    tick()

    assert market.state_of(bid)[0] == "FILLED"


def test_a_node_that_shrinks_keeps_its_leases_and_sells_only_what_is_left(alice, olga, tick):
    node = market.a_node(olga, lots=4)
    market.offer(node, 4)
    market.buy(alice, 3)
    tick()
    Node.objects.filter(pk=node.pk).update(sellable_lots=2)
    bid = market.buy(alice, 1)
    tick()
    assert market.state_of(bid)[0] == "OPEN"

    market.give_back(Lease.objects.get())
    tick()

    assert market.state_of(bid)[0] == "FILLED"


def test_a_node_that_stopped_before_the_book_ever_saw_it_has_its_offer_refused(olga, tick):
    node = market.a_node(olga)
    order = market.sell(node)
    Node.objects.filter(pk=node.pk).update(state="DRAINING")

    tick()

    assert market.state_of(order)[:2] == ("REJECTED", "unknown_node")


def test_an_offer_of_a_node_that_changed_hands_on_the_way_is_refused(olga, pete, tick):
    node = market.a_node(olga)
    order = market.sell(node)
    Node.objects.filter(pk=node.pk).update(operator=pete)

    tick()

    assert market.state_of(order)[:2] == ("REJECTED", "not_node_owner")


def test_a_resting_offer_of_a_node_that_changed_hands_leaves_the_book(olga, pete, tick):
    node = market.a_node(olga)
    order = market.offer(node)
    tick()
    Node.objects.filter(pk=node.pk).update(operator=pete)

    tick()

    assert market.state_of(order)[:2] == ("CANCELLED", "node_changed_owner")


def test_only_its_operator_offers_a_node(olga, pete, book):
    new = market_services.NewOrder(
        book=book,
        side="SELL",
        placed_by=pete,
        owner_key=f"user:{pete.user_id}",
        price_micro=1,
        lots=1,
        node=market.a_node(olga),
    )

    with pytest.raises(errors.NotFound):
        market_services.place_orders(orders=[new])

    assert not Order.objects.exists()
