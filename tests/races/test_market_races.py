"""Real processes at one book: one matcher, no lot sold twice, no cancelled order with more leases than fills."""

import pytest
from django.db.models import Sum

from marketplace import matcher as matchers
from marketplace import services as market_services
from marketplace.models import Lease, Order, Trade
from tests.marketplace import market
from tests.scheduler import world

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_eight_matchers_one_is_elected(cooperative, race):
    pool = market_services.pool_of(cooperative)

    epochs = race(*[("elect", {"pool": pool.pk})] * 8)

    pool.refresh_from_db()
    assert [epoch for epoch in epochs if epoch is not None] == [pool.matcher_epoch]
    race(*[("resign", {"pool": pool.pk})] * 8)


def test_when_the_elected_one_has_gone_another_is(cooperative, race):
    pool = market_services.pool_of(cooperative)
    for epoch in (1, 2, 3):
        assert sorted(filter(None, race(*[("elect", {"pool": pool.pk})] * 4))) == [epoch]
        assert race(*[("resign", {"pool": pool.pk})] * 4).count(True) == 1


def test_orders_cancelled_while_the_matcher_fills_keep_lots_and_leases_in_step(
    alice, cooperative, operators, begin, tmp_path
):
    for operator in operators:
        market.offer(market.a_node(operator, lots=3), 3, 10)
    buyers = [alice, *(world.a_member(cooperative, f"Buyer{number}") for number in range(4))]
    book, stop = market_services.book_for(cooperative), tmp_path / "stop"

    running = begin(
        ("match", {"pool": book.pool_id, "stop_file": str(stop)}),
        *(("trade", {"member": buyer.pk, "count": 30, "reference": f"job:{buyer.pk}"}) for buyer in buyers),
    )
    for worker in running.running[1:]:
        answer = worker.hear()
        assert "failed" not in answer, answer["failed"]
    stop.touch()
    assert "failed" not in running.running[0].hear()

    assert not Order.objects.filter(state="ACCEPTED").exists()
    market.check(book, matchers.load(book))
    for order in Order.objects.filter(side="BUY"):
        bought = Trade.objects.filter(buy_order=order).aggregate(lots=Sum("lots", default=0))["lots"]
        leased = Lease.objects.filter(trade__buy_order=order).aggregate(lots=Sum("lots", default=0))["lots"]
        assert order.filled_lots == bought == leased
        if order.state == "CANCELLED":
            assert order.filled_lots < order.lots
    assert Order.objects.filter(side="BUY", state="CANCELLED").exists()
    assert Trade.objects.count() > 10
