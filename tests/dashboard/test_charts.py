"""Charts as geometry: nothing leaves its frame, gaps stay gaps, and what is shown is what was traded."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dashboard.core import charts, offers

VALUES = st.lists(st.none() | st.integers(0, 10**9), min_size=1, max_size=200)


def numbers(path):
    return [int(found) for found in re.findall(r"-?\d+", path)]


@given(VALUES)
def test_lines_and_grounds_stay_inside_their_frame(values):
    most = max((value for value in values if value is not None), default=0)

    for path in (charts.line(values, most), charts.area(values, most)):
        assert all(0 <= number <= charts.WIDTH for number in numbers(path))
    known = sum(value is not None for value in values)
    assert (charts.line(values, most) == "") == (known == 0)


def test_a_gap_parts_a_line():
    assert charts.line([0, 10, None, 10, 0], 10) == "M0 200L250 0M750 0L1000 200"
    assert charts.area([5, 5], 10) == "M0 100L1000 100V200H0Z"


def test_a_price_that_does_not_move_is_a_level_line():
    assert charts.spark([7, 7, 7]) == "M0 100H1000"
    assert charts.spark([1, 3]) == "M0 200L1000 0"


def test_stairs_reach_their_edge():
    assert charts.steps([(10, 1), (30, 2)], 0, 40, 2) == "M250 200H250V100H750V0H1000V200Z"
    assert charts.steps([(30, 1), (10, 2)], 0, 40, 2, to=0) == "M750 200H750V100H250V0H0V200Z"
    assert charts.steps([], 0, 40, 0) == ""


PRICE = st.integers(1, 10**12)


@given(st.lists(st.none() | st.tuples(PRICE, PRICE, st.integers(1, 10**9)), min_size=1, max_size=49))
def test_candles_stand_inside_their_frame_one_for_each_step_with_trades(drawn_at):
    traded = [each and charts.Traded(each[0], max(each[:2]), min(each[:2]), each[1], each[2]) for each in drawn_at]
    drawn = charts.candles(traded)

    assert [candle is None for candle in drawn] == [each is None for each in traded]
    for candle in filter(None, drawn):
        assert 0 <= candle.wick_top <= candle.top
        assert candle.wick_bottom <= charts.PRICE_HEIGHT < candle.volume_top
        assert candle.volume_top + candle.volume_height == charts.HEIGHT
        assert candle.x >= 0
        assert candle.x + candle.width <= charts.WIDTH


ASKS = st.lists(
    st.builds(offers.Ask, st.integers(1, 10**7), st.integers(1, 20), st.sampled_from(["olga", "pavel", "zoe"])),
    max_size=8,
).map(lambda asks: sorted(asks, key=lambda ask: ask.price_micro))


def dearest_first_per_owner(asks, owners):
    """How many lots can be bought at most so that each of some owners carries no more than its part, by counting."""
    by_owner = Counter()
    for ask in asks:
        by_owner[ask.owner] += ask.lots
    shares = [s for s in range(1, 200) if sum(min(lots, s) for lots in by_owner.values()) >= s * owners]
    return max(shares, default=0) * owners


@given(ASKS, st.integers(600, 10**6), st.integers(60, 10**6), st.integers(1, 3))
def test_offers_differ_and_more_lots_never_take_longer_or_cost_less(asks, work, within, owners):
    found = offers.offers(asks, core_seconds=work, within_seconds=within, owners=owners)

    lots = [offer.lots for offer in found]
    assert sorted(set(lots)) == lots
    assert [offer.cost_micro for offer in found] == sorted(offer.cost_micro for offer in found)
    assert [offer.seconds for offer in found] == sorted((offer.seconds for offer in found), reverse=True)
    most = dearest_first_per_owner(asks, owners)
    assert bool(found) == bool(most)
    for offer in found:
        assert offer.lots % owners == 0
        assert owners <= offer.lots <= most
        assert offer.cost_micro * 3600 <= offer.worst_micro * work + 3600
        assert offer.is_in_time == (offer.seconds <= within)
    if found:
        assert lots[-1] == min(most, max(1, work // 60 // owners) * owners)


def book_of(*asks):
    return [offers.Ask(*ask) for ask in asks]


def test_the_three_ways_of_a_book():
    asks = book_of((500_000, 1, "olga"), (600_000, 3, "pavel"), (900_000, 4, "zoe"))

    found = offers.offers(asks, core_seconds=14_400, within_seconds=4_800)

    assert [(offer.kind, offer.lots, offer.cost_micro, offer.seconds) for offer in found] == [
        ("cheapest", 1, 2_000_000, 14_400),
        ("balanced", 3, 2_266_667, 4_800),
        ("fastest", 8, 2_950_000, 1_800),
    ]


def test_a_quorum_of_three_needs_lots_of_three_owners():
    alone = book_of((500_000, 9, "olga"), (600_000, 9, "pavel"))
    assert offers.offers(alone, core_seconds=14_400, within_seconds=4_800, owners=3) == []
    assert offers.offers(alone, core_seconds=14_400, within_seconds=4_800, owners=2)

    found = offers.offers([*alone, offers.Ask(900_000, 2, "zoe")], core_seconds=10_800, within_seconds=3_600, owners=3)

    assert [(offer.kind, offer.lots, offer.worst_micro, offer.cost_micro) for offer in found] == [
        ("cheapest", 6, 900_000, 2_000_000)
    ], "with two lots of Zoe's at most two of each; one of each costs as much and takes longer"


def test_without_enough_lots_there_is_no_way():
    assert offers.offers([], core_seconds=100, within_seconds=100) == []
    assert offers.offers(book_of((1, 1, "olga")), core_seconds=100, within_seconds=100, owners=2) == []
