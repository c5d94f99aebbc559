"""Orders through services, matcher and tables: what became of each, with its typed reason."""

import pytest

from marketplace import queries
from marketplace import services as market_services
from marketplace.core.wellformed import Malformed
from marketplace.models import BookInput, Lease, Order, Trade
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
