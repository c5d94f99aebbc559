"""Facts before they are recorded, and how they add up."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengrid import score
from reputation.core import evidence
from reputation.core.evidence import NewEvidence

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FACTS = st.builds(
    NewEvidence,
    node_id=st.just(1),
    dimension=st.just("uptime"),
    success=st.booleans(),
    reason=st.just("heard"),
    reference=st.text(max_size=5),
    at=st.datetimes(datetime(2024, 1, 1), datetime(2026, 11, 21), timezones=st.just(UTC)),  # noqa: DTZ001
    weight_milli=st.integers(1, score.MAX_WEIGHT_MILLI),
)


@given(st.lists(FACTS, max_size=20), st.integers(0, 20))
def test_facts_add_up_the_same_in_any_order_and_in_any_portions(facts, cut):
    whole = evidence.add_all(score.Tally(), facts)
    in_portions = evidence.add_all(evidence.add_all(score.Tally(), facts[cut:]), facts[:cut])

    assert whole == in_portions
    public = score.score((evidence.item(fact) for fact in facts), evidence.unix_ms(NOW))
    assert whole.score_micro(evidence.unix_ms(NOW)) == public[score.Dimension.UPTIME]


@given(st.lists(FACTS, max_size=5))
def test_a_score_is_never_computed_before_its_facts(facts):
    now = datetime(2025, 1, 1, tzinfo=UTC)
    before = datetime(2025, 6, 1, tzinfo=UTC)

    moment = evidence.score_moment(now, facts, not_before=before)

    assert moment == max([before, *(fact.at for fact in facts)])


def test_the_newcomers_score_is_five_percent():
    assert evidence.NEWCOMER_MICRO == 50_000


def test_milliseconds_are_counted_down_to_whole_ones():
    assert evidence.unix_ms(evidence.EARLIEST_AT) == score.EPOCH_MS
    assert evidence.unix_ms(NOW + timedelta(microseconds=1999)) == evidence.unix_ms(NOW) + 1


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": "kindness"},
        {"weight_milli": 0},
        {"weight_milli": score.MAX_WEIGHT_MILLI + 1},
        {"at": datetime(2023, 12, 31, tzinfo=UTC)},
        {"at": datetime(2026, 11, 21)},  # noqa: DTZ001
    ],
)
def test_what_no_score_can_be_made_of_is_refused(change):
    fields = {"node_id": 1, "dimension": "uptime", "success": True, "reason": "r", "reference": "x", "at": NOW}

    with pytest.raises(evidence.BadEvidence):
        evidence.check(NewEvidence(**(fields | change)))
