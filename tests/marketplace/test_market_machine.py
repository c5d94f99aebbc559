"""Random days at a market of real tables: after each tick they say exactly what the journal makes."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from accounts import services as accounts
from accounts.models import User
from common.clock import database_now
from marketplace import services as market_services
from marketplace.models import Lease, Order
from nodes.models import Node
from tests.marketplace import market
from tests.scheduler import world

_numbers = itertools.count(1)
PICK = st.integers(0, 1000)
LOTS = st.integers(1, 5)
PRICES = st.integers(1, 4)


class MarketMachine(RuleBasedStateMachine):
    """Three operators and two members of a cooperative of their own; ticks come when they come."""

    @initialize()
    def a_cooperative_opens(self):
        number = next(_numbers)
        founder = User.objects.create_user(f"f{number}@example.org", "x", display_name="F")
        self.cooperative = accounts.found_cooperative(
            name=f"C{number}", slug=f"c{number}", founder=founder, now=database_now()
        )
        people = [world.a_member(self.cooperative, f"P{number}n{index}") for index in range(5)]
        self.operators, self.members = people[:3], people[2:]  # one is both
        self.nodes = [market.a_node(operator, lots=3) for operator in self.operators]
        self.book = market_services.book_for(self.cooperative)
        self.matcher = market.elect(self.cooperative)
        self.tick()

    @rule()
    def tick(self):
        self.matcher._capacity_due = 0.0
        self.matcher.tick()
        market.check(self.book, self.matcher._books[self.book.pk])

    @rule(
        pick=PICK,
        lots=LOTS,
        price=PRICES,
        time_in_force=st.sampled_from(["GTC", "GTC", "IOC", "FOK"]),
        spread=st.sampled_from([None, None, 1, 2]),
        reference=st.sampled_from(["", "job:1", "job:2"]),
    )
    def place_buy(self, pick, lots, price, time_in_force, spread, reference):
        market.buy(
            self.members[pick % len(self.members)],
            lots,
            price,
            time_in_force=time_in_force,
            max_lots_per_owner=spread,
            reference=reference,
        )

    @rule(pick=PICK, lots=LOTS, price=PRICES, kind=st.sampled_from(["standing", "GTC", "IOC", "FOK"]))
    def place_sell(self, pick, lots, price, kind):
        node = Node.objects.get(pk=self.nodes[pick % 3].pk)
        if node.state != "ACTIVE":
            return
        if kind == "standing":
            market.offer(node, lots, price)
        else:
            market.sell(node, lots, price, time_in_force=kind)

    @rule(pick=PICK)
    def cancel(self, pick):
        live = list(Order.objects.filter(book=self.book, state__in=market_services.LIVE_STATES).order_by("pk"))
        if live:
            market_services.cancel_order(order=live[pick % len(live)])

    @rule(reference=st.sampled_from(["job:1", "job:2"]))
    def cancel_all_of(self, reference):
        market_services.cancel_orders_of(reference=reference)

    @rule(pick=PICK)
    def end_a_lease(self, pick):
        live = list(Lease.objects.filter(book=self.book, state="LIVE").order_by("pk"))
        if live:
            market.give_back(live[pick % len(live)])

    @rule(
        pick=PICK, lots=st.integers(1, 5), state=st.sampled_from(["ACTIVE", "ACTIVE", "DRAINING"]), dark=st.booleans()
    )
    def a_node_changes(self, pick, lots, state, dark):
        Node.objects.filter(pk=self.nodes[pick % 3].pk).update(
            sellable_lots=lots, state=state, last_seen_at=None if dark else database_now()
        )

    @rule()
    def the_matcher_is_replaced(self):
        self.matcher = market.elect(self.cooperative)
        self.tick()

    def teardown(self):
        if hasattr(self, "matcher"):
            self.tick()


@pytest.mark.django_db
def test_random_days_at_the_market():
    run_state_machine_as_test(
        MarketMachine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes; the steps are short
        ),
    )
