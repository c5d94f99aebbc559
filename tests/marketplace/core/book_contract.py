"""What every book does, example by example. A test module names the implementation once:

class TestFastBook(BookContract):
    book_class = FastBook

Beside the assertions each example is audited event by event (see desk.py).
"""

import pytest

from marketplace.core.book import Book, DepthLevel, SequenceGap
from marketplace.core.effects import (
    CancelRefused,
    CapacityChanged,
    LeaseClosed,
    OrderChanged,
    OrderOpened,
    OrderRejected,
    ReturnRefused,
)
from marketplace.core.events import Cancel, Place
from marketplace.core.wellformed import Malformed
from tests.marketplace.core.desk import Desk, leases, outcome, through_json, trades
from tests.marketplace.core.samples import buy, capacity, sell


class BookContract:
    book_class: type[Book]

    @pytest.fixture
    def desk(self) -> Desk:
        """A book with three nodes: n1 and n2 of olga, n3 of pete, four lots each."""
        desk = Desk(self.book_class())
        for node_id, owner in (("n1", "olga"), ("n2", "olga"), ("n3", "pete")):
            desk.give(capacity(node_id, owner, 4))
        return desk

    # Price, then time

    def test_the_cheapest_offer_trades_first(self, desk: Desk) -> None:
        desk.place(sell("dear", 2, 70), sell("cheap", 2, 50, node_id="n3", owner="pete"))

        effects = desk.place(buy("b", 3, 100))

        assert trades(effects) == [("b", "cheap", 2, 50), ("b", "dear", 1, 70)]

    def test_of_equal_offers_the_earlier_trades_first(self, desk: Desk) -> None:
        desk.place(sell("first", 2, 50), sell("second", 2, 50, node_id="n3", owner="pete"))

        assert trades(desk.place(buy("b", 3, 50))) == [
            ("b", "first", 2, 50),
            ("b", "second", 1, 50),
        ]

    def test_an_offer_goes_to_the_highest_bid_and_then_to_the_earliest(self, desk: Desk) -> None:
        desk.place(buy("low", 1, 60), buy("early", 1, 80), buy("late", 1, 80, owner="bob"))

        effects = desk.place(sell("s", 3, 50))

        assert trades(effects) == [("early", "s", 1, 80), ("late", "s", 1, 80), ("low", "s", 1, 60)]

    def test_prices_that_do_not_meet_rest_side_by_side(self, desk: Desk) -> None:
        assert trades(desk.place(sell("s", 2, 51), buy("b", 2, 50))) == []

        depth = desk.book.depth()
        assert (depth.bids, depth.asks) == ((DepthLevel(50, 2),), (DepthLevel(51, 2),))

    def test_orders_that_meet_late_trade_at_the_older_ones_price(self, desk: Desk) -> None:
        desk.give(capacity("n1", lots=4, available=False, reason="node_dark"))
        desk.place(buy("b", 1, 80), sell("s", 1, 50))

        effects = desk.give(capacity("n1", lots=4, reason="node_back"))

        assert trades(effects) == [("b", "s", 1, 80)]

    def test_a_free_lot_may_be_given_away(self, desk: Desk) -> None:
        assert trades(desk.place(sell("s", 1, 0), buy("b", 1, 0))) == [("b", "s", 1, 0)]

    # Effects

    def test_a_trade_tells_both_orders_once_and_names_its_lease(self, desk: Desk) -> None:
        desk.place(sell("s", 3, 50))

        effects = desk.place(buy("b", 2, 60))

        (lease,) = leases(effects)
        assert (lease.ref, lease.node_id, lease.lots, lease.price_micro) == ("5.1", "n1", 2, 50)
        assert (lease.buyer, lease.seller) == ("alice", "olga")
        assert effects[0] == OrderOpened("b", 5, 2)
        assert effects[2:] == [
            OrderChanged("b", "FILLED", 0, 2, "filled"),
            OrderChanged("s", "PARTIALLY_FILLED", 1, 2, "traded"),
        ]

    # Time in force

    def test_a_gtc_order_rests_with_what_is_left(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50))

        effects = desk.place(buy("b", 3, 50))

        assert outcome(effects, "b") == ("PARTIALLY_FILLED", "traded")
        assert desk.live("b").open_lots == 1

    def test_an_ioc_order_never_rests(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50))

        effects = desk.place(buy("b", 3, 50, tif="IOC"))

        assert trades(effects) == [("b", "s", 2, 50)]
        assert effects[-1] == OrderChanged("b", "CANCELLED", 0, 2, "ioc_remainder")
        assert desk.live("b") is None

    def test_a_fok_order_is_filled_whole(self, desk: Desk) -> None:
        desk.place(sell("s1", 2, 50), sell("s2", 2, 60, node_id="n3", owner="pete"))

        effects = desk.place(buy("b", 4, 60, tif="FOK"))

        assert outcome(effects, "b") == ("FILLED", "filled")

    def test_a_fok_order_that_cannot_be_whole_changes_nothing(self, desk: Desk) -> None:
        desk.place(sell("s", 3, 50, standing=True))
        before = desk.book.snapshot().orders[0].open_lots

        effects = desk.place(buy("b", 4, 50, tif="FOK"))

        assert effects[1:] == [OrderChanged("b", "CANCELLED", 0, 0, "fok_not_fillable")]
        assert desk.live("s").open_lots == before == 3

    def test_fok_counts_a_node_once_though_it_is_offered_twice(self, desk: Desk) -> None:
        desk.place(sell("s1", 4, 50), sell("s2", 4, 60))

        assert outcome(desk.place(buy("b", 5, 60, tif="FOK")), "b")[1] == "fok_not_fillable"

    def test_fok_respects_the_limit_per_operator(self, desk: Desk) -> None:
        desk.place(sell("s1", 2, 50), sell("s2", 2, 50, node_id="n2"))
        desk.place(sell("s3", 1, 90, node_id="n3", owner="pete"))

        refused = desk.place(buy("b1", 4, 90, tif="FOK", spread=2))
        filled = desk.place(buy("b2", 3, 90, tif="FOK", spread=2))

        assert outcome(refused, "b1")[1] == "fok_not_fillable"
        assert trades(filled) == [("b2", "s1", 2, 50), ("b2", "s3", 1, 90)]

    def test_a_sell_order_may_be_ioc_or_fok_too(self, desk: Desk) -> None:
        desk.place(buy("b", 2, 50))

        refused = desk.place(sell("fok", 3, 50, tif="FOK"))
        taken = desk.place(sell("ioc", 3, 50, tif="IOC"))

        assert outcome(refused, "fok") == ("CANCELLED", "fok_not_fillable")
        assert trades(taken) == [("b", "ioc", 2, 50)]
        assert outcome(taken, "ioc") == ("CANCELLED", "ioc_remainder")

    # Who may trade with whom

    def test_an_owner_never_trades_with_itself_but_passes_on_to_the_next(self, desk: Desk) -> None:
        desk.place(sell("own", 2, 10), sell("other", 2, 50, node_id="n3", owner="pete"))

        effects = desk.place(buy("b", 1, 50, owner="olga"))

        assert trades(effects) == [("b", "other", 1, 50)]
        assert desk.live("own").open_lots == 2

    def test_only_nodes_that_fit_the_needs_sell(self, desk: Desk) -> None:
        desk.give(capacity("n3", "pete", 4, memory_mib_per_lot=8192))
        desk.place(sell("small", 2, 10), sell("large", 2, 50, node_id="n3", owner="pete"))

        assert trades(desk.place(buy("b", 1, 50, memory_mib=4096))) == [("b", "large", 1, 50)]

    def test_excluded_owners_never_sell(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 10))

        assert trades(desk.place(buy("b", 1, 50, excluded_owners=frozenset({"olga"})))) == []

    def test_an_order_that_fits_nothing_does_not_stand_in_the_way(self, desk: Desk) -> None:
        desk.place(buy("picky", 1, 90, memory_mib=10**6), buy("b", 1, 50))

        assert trades(desk.place(sell("s", 1, 50))) == [("b", "s", 1, 50)]

    def test_a_node_that_learns_to_fit_trades_at_once(self, desk: Desk) -> None:
        desk.place(sell("s", 1, 50), buy("b", 1, 50, zones=frozenset({"fr-east"})))

        assert trades(desk.give(capacity("n1", zone="fr-east"))) == [("b", "s", 1, 50)]

    # Spread over operators

    def test_no_operator_carries_more_lots_than_the_order_allows(self, desk: Desk) -> None:
        desk.place(sell("s1", 2, 10), sell("s2", 2, 20, node_id="n2"))
        desk.place(sell("s3", 4, 30, node_id="n3", owner="pete"))

        effects = desk.place(buy("b", 6, 50, spread=3))

        assert trades(effects) == [("b", "s1", 2, 10), ("b", "s2", 1, 20), ("b", "s3", 3, 30)]

    def test_lots_that_an_operator_gave_back_make_room_under_the_limit(self, desk: Desk) -> None:
        desk.place(sell("s1", 1, 10), sell("s2", 1, 20, node_id="n2"))
        (lease,) = leases(desk.place(buy("b", 2, 50, spread=1)))

        effects = desk.give_back(lease.ref)

        assert trades(effects) == [("b", "s2", 1, 20)]
        assert outcome(effects, "b") == ("FILLED", "filled")

    # Nodes and their capacity

    def test_a_node_offered_twice_is_never_sold_twice(self, desk: Desk) -> None:
        desk.place(sell("s1", 4, 50), sell("s2", 4, 60))

        effects = desk.place(buy("b", 8, 60))

        assert trades(effects) == [("b", "s1", 4, 50)]
        assert desk.live("s2").open_lots == 4

    def test_an_offer_sells_at_most_what_its_node_has(self, desk: Desk) -> None:
        desk.place(sell("s", 100, 50))

        assert trades(desk.place(buy("b", 10, 50))) == [("b", "s", 4, 50)]
        assert trades(desk.give(capacity("n1", lots=7))) == [("b", "s", 3, 50)]

    def test_a_node_that_is_away_sells_nothing_and_keeps_its_place(self, desk: Desk) -> None:
        desk.place(sell("away", 1, 50), sell("later", 2, 50, node_id="n3", owner="pete"))
        desk.give(capacity("n1", available=False, reason="quarantined"))

        while_away = desk.place(buy("b1", 1, 50))
        desk.give(capacity("n1", reason="released"))
        after = desk.place(buy("b2", 1, 50))

        assert trades(while_away) == [("b1", "later", 1, 50)]
        assert trades(after) == [("b2", "away", 1, 50)]

    def test_a_node_that_shrinks_keeps_its_leases_and_sells_no_more(self, desk: Desk) -> None:
        desk.place(sell("s", 4, 50, standing=True))
        first, _ = leases(desk.place(buy("b1", 2, 50), buy("b2", 1, 50)))

        shrunk = desk.give(capacity("n1", lots=2, reason="limit_lowered"))
        waiting = desk.place(buy("b3", 1, 50))
        back = desk.give_back(first.ref)

        assert shrunk == [CapacityChanged("n1", 2, True, 3, "limit_lowered")]
        assert trades(waiting) == []
        assert trades(back) == [("b3", "s", 1, 50)]

    def test_returning_lots_serve_the_best_bid_first(self, desk: Desk) -> None:
        desk.place(sell("s", 4, 50, standing=True))
        (lease,) = leases(desk.place(buy("b", 4, 50)))
        desk.place(buy("low", 2, 60), buy("high", 2, 90), buy("late", 2, 60, owner="bob"))

        effects = desk.give_back(lease.ref)

        assert trades(effects) == [("high", "s", 2, 50), ("low", "s", 2, 50)]

    def test_offers_of_the_former_owner_end_when_a_node_changes_hands(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))
        (lease,) = leases(desk.place(buy("b", 1, 50)))

        effects = desk.give(capacity("n1", "rosa", 4))

        assert effects[1:] == [OrderChanged("s", "CANCELLED", 0, 1, "node_changed_owner")]
        assert desk.book.snapshot().leases == (lease,)

    # Standing offers

    def test_a_standing_offer_gets_its_lots_back_and_keeps_its_sequence(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))
        desk.place(sell("rival", 2, 50, node_id="n3", owner="pete"))
        sequence = desk.live("s").sequence
        (lease,) = leases(desk.place(buy("b1", 2, 50)))

        effects = desk.give_back(lease.ref)

        assert effects == [
            LeaseClosed(lease, "buyer_returned"),
            OrderChanged("s", "OPEN", 2, 2, "lease_returned"),
        ]
        assert desk.live("s").sequence == sequence
        assert trades(desk.place(buy("b2", 1, 50))) == [("b2", "s", 1, 50)]

    def test_a_standing_offer_that_is_all_leased_stays_in_the_book(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))

        effects = desk.place(buy("b", 2, 50))

        assert effects[-1] == OrderChanged("s", "PARTIALLY_FILLED", 0, 2, "traded")
        assert desk.live("s") is not None
        assert desk.book.depth().asks == ()

    def test_an_offer_that_does_not_stand_is_used_up(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50))
        (lease,) = leases(desk.place(buy("b1", 2, 50)))

        assert desk.give_back(lease.ref) == [LeaseClosed(lease, "buyer_returned")]
        assert trades(desk.place(buy("b2", 1, 50))) == []

    def test_a_returned_lot_is_not_bought_again_by_the_order_that_had_it(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))
        (lease,) = leases(desk.place(buy("b", 2, 50)))

        assert trades(desk.give_back(lease.ref)) == []

    # Cancels and returns

    def test_a_cancel_takes_effect_once(self, desk: Desk) -> None:
        desk.place(buy("b", 2, 50))

        first, second = desk.cancel("b"), desk.cancel("b")

        assert first == [OrderChanged("b", "CANCELLED", 0, 0, "cancelled_by_owner")]
        assert second == [CancelRefused("b", "order_not_live")]

    def test_a_cancel_after_the_fill_is_refused(self, desk: Desk) -> None:
        desk.place(sell("s", 1, 50), buy("b", 1, 50))

        assert desk.cancel("b") == [CancelRefused("b", "order_not_live")]

    def test_a_cancel_says_the_reason_it_was_given(self, desk: Desk) -> None:
        desk.place(buy("b", 2, 50))

        effects = desk.give(Cancel("b", "hold_exhausted"))

        assert outcome(effects, "b") == ("CANCELLED", "hold_exhausted")

    def test_a_cancelled_standing_offer_keeps_its_leases_and_gets_nothing_back(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))
        (lease,) = leases(desk.place(buy("b", 1, 50)))

        desk.cancel("s")

        assert desk.book.snapshot().leases == (lease,)
        assert desk.give_back(lease.ref) == [LeaseClosed(lease, "buyer_returned")]

    def test_a_lease_ends_once(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True))
        (lease,) = leases(desk.place(buy("b", 2, 50)))
        desk.give_back(lease.ref)

        assert desk.give_back(lease.ref) == [ReturnRefused(lease.ref, "lease_not_live")]
        assert desk.live("s").open_lots == 2

    # Refusals

    def test_an_id_in_use_is_refused_and_its_order_untouched(self, desk: Desk) -> None:
        desk.place(buy("b", 2, 50))

        assert desk.place(buy("b", 1, 60)) == [OrderRejected("b", "duplicate_order")]
        assert desk.live("b").open_lots == 2

    def test_the_id_of_a_filled_order_stays_in_use_while_its_lease_lives(self, desk: Desk) -> None:
        desk.place(sell("s", 1, 50), buy("b", 1, 50))

        assert desk.place(buy("b", 1, 60)) == [OrderRejected("b", "duplicate_order")]
        assert desk.place(sell("s", 1, 60)) == [OrderRejected("s", "duplicate_order")]

    @pytest.mark.parametrize(
        ("offer", "reason"),
        [
            (sell("s", 1, 50, node_id="n9"), "unknown_node"),
            (sell("s", 1, 50, owner="pete"), "not_node_owner"),
            (sell("s", 1, 50, standing=True, tif="IOC"), "standing_must_rest"),
            (sell("s", 1, 50, standing=True, tif="FOK"), "standing_must_rest"),
        ],
    )
    def test_offers_that_cannot_be_are_refused(self, desk: Desk, offer, reason) -> None:
        assert desk.place(offer) == [OrderRejected("s", reason)]
        assert desk.book.snapshot().orders == ()

    # Halts

    def test_a_halted_book_refuses_orders_and_trades_nothing(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True), buy("b1", 2, 50), buy("b2", 1, 50))
        desk.halt()

        refused = desk.place(buy("b3", 1, 50))
        returned = desk.give_back("5.1")

        assert refused == [OrderRejected("b3", "market_halted")]
        assert trades(returned) == []

    def test_a_book_that_resumes_trades_what_waited(self, desk: Desk) -> None:
        desk.place(sell("s", 2, 50, standing=True), buy("b1", 2, 50), buy("b2", 1, 50))
        desk.halt()
        desk.give_back("5.1")

        assert trades(desk.halt(halted=False)) == [("b2", "s", 1, 50)]

    def test_a_halted_book_still_lets_go(self, desk: Desk) -> None:
        desk.place(buy("b", 1, 50))
        desk.halt()

        assert outcome(desk.cancel("b"), "b") == ("CANCELLED", "cancelled_by_owner")

    # Sequence, journal and state

    @pytest.mark.parametrize("sequence", [0, 3, 5, -1, 4.0, "4"])
    def test_an_event_out_of_turn_is_an_error_and_changes_nothing(self, desk: Desk, sequence: object) -> None:
        before = desk.book.state_hash()

        with pytest.raises(SequenceGap):
            desk.book.apply(Place(buy("b", 1, 50)), sequence)

        assert desk.book.state_hash() == before

    def test_replay_of_the_journal_or_of_its_tail_gives_the_same_state(self, desk: Desk) -> None:
        desk.place(sell("s", 3, 50, standing=True), buy("b1", 2, 50), buy("b2", 5, 40, spread=2))
        desk.give_back("5.1")
        desk.cancel("b2")

        for snapshot_at in range(len(desk.journal) + 1):
            desk.check_replay(snapshot_at)

    def test_a_restored_book_goes_on_as_if_nothing_had_happened(self, desk: Desk) -> None:
        desk.place(sell("s", 4, 50, standing=True), buy("b1", 4, 50, spread=2))
        desk.restart()

        effects = desk.give_back("5.1")

        assert trades(effects) == [("b1", "s", 2, 50)]

    def test_a_snapshot_is_apart_from_the_books_it_came_from_and_went_to(self, desk: Desk) -> None:
        desk.place(sell("s", 4, 50, standing=True))
        snapshot, state = desk.book.snapshot(), desk.book.state()
        other = self.book_class.from_snapshot(snapshot)

        desk.place(buy("b", 2, 50))
        other.apply(Place(buy("b", 3, 50)), 5)

        assert snapshot.to_dict() == state
        assert [book.snapshot().orders[0].open_lots for book in (desk.book, other)] == [2, 1]

    def test_the_state_hash_tells_any_difference(self, desk: Desk) -> None:
        hashes = [desk.book.state_hash()]
        desk.place(sell("s", 4, 50, standing=True))
        hashes.append(desk.book.state_hash())
        desk.place(buy("b", 1, 50))
        hashes.append(desk.book.state_hash())
        desk.halt()
        hashes.append(desk.book.state_hash())

        assert len(set(hashes)) == 4

    def test_a_state_that_contradicts_itself_is_not_restored(self, desk: Desk) -> None:
        desk.place(sell("s", 4, 50, standing=True), buy("b", 1, 50))
        state = through_json(desk.book.state())
        state["leases"] = []

        with pytest.raises(Malformed, match="lost or gained lots"):
            self.book_class.restore(state)

    def test_a_state_of_another_version_is_not_restored(self, desk: Desk) -> None:
        with pytest.raises(Malformed, match="version"):
            self.book_class.restore({**desk.book.state(), "version": 2})

    # Depth

    def test_depth_shows_what_can_be_sold_now(self, desk: Desk) -> None:
        desk.place(sell("s1", 3, 50), sell("s2", 3, 60), sell("s3", 9, 60, node_id="n2"))
        desk.place(sell("s4", 1, 70, node_id="n3", owner="pete"))
        desk.place(buy("b1", 2, 40), buy("b2", 1, 45), buy("b3", 1, 40))
        desk.give(capacity("n3", "pete", 4, available=False, reason="node_dark"))

        depth = desk.book.depth()

        assert depth.asks == (DepthLevel(50, 3), DepthLevel(60, 5))
        assert depth.bids == (DepthLevel(45, 1), DepthLevel(40, 3))
