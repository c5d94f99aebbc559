"""Charts as geometry: nothing leaves its frame, gaps stay gaps, and what is shown is what was traded."""

import re

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


ASKS = st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 20)), max_size=8).map(sorted)


@given(ASKS, st.integers(60, 10**6), st.integers(60, 10**6), st.integers(1, 3))
def test_offers_differ_and_more_lots_never_take_longer_or_cost_less(asks, work, within, least):
    found = offers.offers(asks, core_seconds=work, within_seconds=within, least_lots=least)

    lots = [offer.lots for offer in found]
    assert sorted(set(lots)) == lots
    assert [offer.cost_micro for offer in found] == sorted(offer.cost_micro for offer in found)
    assert [offer.seconds for offer in found] == sorted((offer.seconds for offer in found), reverse=True)
    for offer in found:
        assert least <= offer.lots <= sum(number for _, number in asks)
        assert offer.cost_micro * 3600 <= offer.worst_micro * work + 3600
        assert offer.is_in_time == (offer.seconds <= within)


def test_the_three_ways_of_a_book():
    found = offers.offers([(500_000, 1), (600_000, 3), (900_000, 4)], core_seconds=14_400, within_seconds=4_800)

    assert [(offer.kind, offer.lots, offer.cost_micro, offer.seconds) for offer in found] == [
        ("cheapest", 1, 2_000_000, 14_400),
        ("balanced", 3, 2_266_667, 4_800),
        ("fastest", 8, 2_950_000, 1_800),
    ]


def test_without_enough_lots_there_is_no_way():
    assert offers.offers([], core_seconds=100, within_seconds=100) == []
    assert offers.offers([(1, 1)], core_seconds=100, within_seconds=100, least_lots=2) == []
