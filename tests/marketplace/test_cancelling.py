"""Orders that are cancelled, one by one and by reference: what traded stays traded, twice is harmless."""

import pytest

from common import errors
from marketplace import services as market_services
from marketplace.models import BookInput, Lease
from tests.marketplace import market


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

    monkeypatch.setattr(matchers.intake, "INTAKE_LIMIT", 1)
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
