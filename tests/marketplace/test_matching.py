"""Orders through services, matcher and tables: what became of each, with its typed reason."""

import pytest

from common import errors
from common.clock import database_now
from marketplace import queries
from marketplace import services as market_services
from marketplace.core.wellformed import Malformed
from marketplace.models import BookInput, JournalEvent, Lease, Order, Trade
from nodes.models import Node
from tests.marketplace import market


def test_a_match_makes_a_trade_and_a_lease_at_the_resting_price(alice, olga, tick):
    node = market.a_node(olga)
    ask = market.offer(node, 4, 7)
    bid = market.buy(alice, 3, 9, reference="job:1")

    tick()

    trade, lease = Trade.objects.get(), Lease.objects.get()
    assert (trade.buy_order, trade.sell_order, trade.node, trade.lots, trade.price_micro) == (bid, ask, node, 3, 7)
    assert (lease.trade, lease.holder, lease.reference, lease.lots, lease.price_micro, lease.state) == (
        trade, alice, "job:1", 3, 7, "LIVE"
    )  # fmt: skip
    assert market.state_of(bid) == ("FILLED", "filled", 0, 3)
    assert market.state_of(ask) == ("PARTIALLY_FILLED", "traded", 1, 3)


def test_price_comes_first_then_the_order_of_arrival(alice, olga, pete, quin, tick):
    dear = market.offer(market.a_node(olga), 1, 9)
    early = market.offer(market.a_node(pete), 1, 7)
    late = market.offer(market.a_node(quin), 1, 7)
    bid = market.buy(alice, 2, 9)

    tick()

    assert set(bid.buys.values_list("sell_order", flat=True)) == {early.pk, late.pk}
    assert market.state_of(dear)[0] == "OPEN"


def test_a_partial_fill_rests_and_fills_later(alice, olga, pete, tick):
    bid = market.buy(alice, 5, 9)
    market.offer(market.a_node(olga), 4, 7)
    tick()
    assert market.state_of(bid) == ("PARTIALLY_FILLED", "traded", 1, 4)

    market.offer(market.a_node(pete), 4, 8)
    tick()

    assert market.state_of(bid) == ("FILLED", "filled", 0, 5)
    assert list(bid.buys.order_by("pk").values_list("lots", "price_micro")) == [(4, 9), (1, 9)]


@pytest.mark.parametrize(
    ("time_in_force", "expected"),
    [
        ("GTC", ("PARTIALLY_FILLED", "traded", 2, 4)),
        ("IOC", ("CANCELLED", "ioc_remainder", 0, 4)),
        ("FOK", ("CANCELLED", "fok_not_fillable", 0, 0)),
    ],
)
def test_what_happens_to_the_rest_is_what_the_order_says(alice, olga, tick, time_in_force, expected):
    market.offer(market.a_node(olga), 4, 7)
    tick()
    bid = market.buy(alice, 6, 9, time_in_force=time_in_force)

    tick()

    assert market.state_of(bid) == expected
    assert sum(bid.buys.values_list("lots", flat=True)) == expected[3]


def test_nobody_trades_with_their_own_node(olga, tick):
    ask = market.offer(market.a_node(olga), 4, 7)
    bid = market.buy(olga, 1, 9)

    tick()

    assert not Trade.objects.exists()
    assert (market.state_of(ask)[0], market.state_of(bid)[0]) == ("OPEN", "OPEN")


def test_needs_that_a_node_does_not_meet_are_not_matched(alice, olga, tick):
    market.offer(market.a_node(olga, zone="north"), 4, 7)
    bid = market.buy(alice, 1, 9, needs=market.Needs(runner="python", zones=frozenset({"south"})))

    tick()

    assert market.state_of(bid)[0] == "OPEN"


def test_a_spread_order_takes_no_more_of_one_operator(alice, olga, pete, tick):
    market.offer(market.a_node(olga), 4, 1)
    market.offer(market.a_node(olga), 4, 1)
    market.offer(market.a_node(pete), 4, 9)
    bid = market.buy(alice, 6, 9, max_lots_per_owner=3)

    tick()

    held = Lease.objects.values_list("node__operator", "lots")
    assert sum(lots for operator, lots in held if operator == olga.pk) == 3
    assert market.state_of(bid)[0] == "FILLED"


# Cancels


def test_a_cancel_takes_the_rest_off_the_book_and_keeps_the_leases(alice, olga, tick):
    market.offer(market.a_node(olga), 4, 7)
    bid = market.buy(alice, 6, 9)
    tick()

    market_services.cancel_order(order=bid, by=alice)
    tick()

    assert market.state_of(bid) == ("CANCELLED", "cancelled_by_owner", 0, 4)
    assert Lease.objects.get().state == "LIVE"


def test_a_cancel_of_an_order_that_is_not_numbered_yet_comes_after_it(alice, olga, tick):
    market.offer(market.a_node(olga), 4, 7)
    bid = market.buy(alice, 6, 9)
    market_services.cancel_order(order=bid, by=alice)

    tick()

    assert market.state_of(bid) == ("CANCELLED", "cancelled_by_owner", 0, 4)


def test_a_cancel_waits_for_an_order_that_waits_for_the_next_tick(alice, olga, tick, monkeypatch):
    from marketplace import matcher as matchers

    monkeypatch.setattr(matchers, "INTAKE_LIMIT", 1)
    first, second = market.buy(alice, 1, 9), market.buy(alice, 1, 9)
    market_services.cancel_order(order=second, by=alice)

    tick()
    assert (market.state_of(first)[0], market.state_of(second)[0]) == ("OPEN", "ACCEPTED")
    assert BookInput.objects.get().sequence is None
    tick()

    assert market.state_of(second)[0] == "CANCELLED"


def test_two_cancels_are_one(alice, tick):
    bid = market.buy(alice, 1, 9)
    for _ in range(2):
        market_services.cancel_order(order=bid, by=alice)

    tick()

    assert market.state_of(bid)[:2] == ("CANCELLED", "cancelled_by_owner")
    with pytest.raises(market_services.OrderClosed, match="CANCELLED"):
        market_services.cancel_order(order=bid, by=alice)


def test_somebody_elses_order_does_not_exist(alice, pete):
    bid = market.buy(alice)

    with pytest.raises(errors.NotFound):
        market_services.cancel_order(order=bid, by=pete)

    assert not BookInput.objects.exists()


def test_all_orders_of_a_reference_are_cancelled_together(alice, tick):
    mine = [market.buy(alice, 1, 9, reference="job:1") for _ in range(2)]
    other = market.buy(alice, 1, 9, reference="job:2")
    tick()

    market_services.cancel_orders_of(reference="job:1")
    tick()

    assert [market.state_of(order)[0] for order in (*mine, other)] == ["CANCELLED", "CANCELLED", "OPEN"]


# Leases


def test_lots_that_come_back_are_sold_again_to_whoever_waited(alice, pete, olga, tick):
    ask = market.offer(market.a_node(olga), 4, 7)
    market.buy(alice, 4, 9)
    waiting = market.buy(pete, 2, 8)
    tick()
    (lease,) = Lease.objects.all()

    assert market.give_back(lease) == 1
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("ENDING", "lease_idle")
    tick()

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("CLOSED", "lease_idle")
    assert lease.ended_at <= lease.closed_at
    assert market.state_of(waiting)[0] == "FILLED"
    assert market.state_of(ask) == ("PARTIALLY_FILLED", "traded", 2, 6)


def test_a_lease_ends_once(alice, olga, tick):
    market.offer(market.a_node(olga))
    market.buy(alice, 1)
    tick()
    (lease,) = Lease.objects.all()

    assert [market.give_back(lease), market.give_back(lease)] == [1, 0]
    tick()
    assert market.give_back(lease) == 0


# Standing offers


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


# Nodes


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


def test_nothing_is_journalled_while_nothing_changes(olga, tick):
    market.offer(market.a_node(olga))
    tick()

    assert [tick() for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(("fields", "reason"), [({"time_in_force": "IOC", "is_standing": True}, "standing_must_rest")])
def test_a_refusal_is_a_row_with_its_reason(olga, tick, fields, reason):
    order = market.sell(market.a_node(olga), **fields)

    tick()

    assert market.state_of(order) == ("REJECTED", reason, 0, 0)
    assert order.sequence is not None


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


# Intake


@pytest.mark.parametrize(
    "fields",
    [
        {"lots": 0},
        {"price_micro": -1},
        {"price_micro": 2**63},
        {"max_lots_per_owner": 0},
        {"needs": None},
    ],
)
def test_a_row_that_would_stop_the_matcher_is_never_stored(alice, fields):
    with pytest.raises(Malformed):
        market.buy(alice, **fields)

    assert not Order.objects.exists()


def test_a_cancel_or_return_that_would_stop_the_matcher_is_never_stored(alice, olga, tick):
    market.offer(market.a_node(olga))
    bid = market.buy(alice, 1)
    tick()

    with pytest.raises(Malformed):
        market_services.cancel_order(order=market.buy(alice), reason="not a code")
    with pytest.raises(Malformed):
        market.give_back(Lease.objects.get(), reason="Not A Code")

    assert not BookInput.objects.filter(sequence__isnull=True).exists()
    assert bid.state == "ACCEPTED"


def test_what_a_reference_has_and_wants(alice, olga, tick):
    market.offer(market.a_node(olga))
    market.buy(alice, 6, reference="job:1")
    assert queries.lots_for("job:1") == queries.Lots(live=0, resting=6)

    tick()

    assert queries.lots_for("job:1") == queries.Lots(live=4, resting=2)
    market.give_back(Lease.objects.get())
    assert queries.lots_for("job:1") == queries.Lots(live=0, resting=2)


def test_depth_shows_levels_from_the_best(alice, pete, olga, tick, book):
    market.offer(market.a_node(olga), 3, 20)
    market.offer(market.a_node(pete), 2, 15)
    for price in (5, 7, 7):
        market.buy(alice, 2, price)
    tick()

    depth = queries.depth(book)

    assert [(level.price_micro, level.lots, level.orders) for level in depth.bids] == [(7, 4, 2), (5, 2, 1)]
    assert [(level.price_micro, level.lots, level.orders) for level in depth.asks] == [(15, 2, 1), (20, 3, 1)]


@pytest.mark.parametrize("many", [2, 20])
def test_a_tick_asks_as_many_questions_for_twenty_orders_as_for_two(
    alice, olga, matcher, many, django_assert_max_num_queries
):
    market.offer(market.a_node(olga, lots=50), 50)
    matcher.tick()
    for _ in range(many):
        market.buy(alice, 1)

    with django_assert_max_num_queries(18):
        assert matcher.tick() == many
