"""Who gets what for an accepted task."""

from hypothesis import given
from hypothesis import strategies as st

from accounts.core.policy import Rules
from scheduler.core import metering
from scheduler.core.settlement import Execution, Funds, Royalty, settle

FUNDS = Funds("coop:1:treasury", "coop:1:reserve", "coop:1:assurance")
HOLD = "hold:job:7"
RULES = Rules()

owners = st.sampled_from(
    [
        {"coop:1:member:4": 10_000},
        {"coop:1:member:4": 3_333, "coop:1:member:5": 6_667},
        {"coop:1:member:4": 1, "coop:1:member:5": 9_999},
    ]
)
executions = st.lists(
    st.tuples(st.sampled_from([HOLD, FUNDS.assurance]), st.integers(0, 10**9), st.integers(0, 3_600_000), owners),
    min_size=1,
    max_size=5,
).map(
    lambda rows: [
        Execution(number, paid_by, price, 1000, ms, who) for number, (paid_by, price, ms, who) in enumerate(rows)
    ]
)
royalties = st.none() | st.builds(Royalty, st.integers(0, 10**9), st.just(HOLD), st.just("coop:1:member:9"))


@given(executions, royalties)
def test_not_one_micro_credit_is_lost_or_made(runs, royalty):
    result = settle(runs, royalty=royalty, rules=RULES, funds=FUNDS)

    assert sum(entry.amount_micro for entry in result.entries) == 0
    assert all(entry.amount_micro for entry in result.entries)


@given(executions, royalties)
def test_the_member_pays_the_bought_executions_and_the_royalty_and_nothing_else(runs, royalty):
    result = settle(runs, royalty=royalty, rules=RULES, funds=FUNDS)

    paid = -sum(entry.amount_micro for entry in result.entries if entry.address == HOLD)
    bought = sum(result.billed_micro[run.attempt_id] for run in runs if run.paid_by == HOLD)
    assert paid == bought + (royalty.amount_micro if royalty else 0)


@given(executions, royalties)
def test_agreeing_executions_are_billed_the_lowest_metered_time(runs, royalty):
    result = settle(runs, royalty=royalty, rules=RULES, funds=FUNDS)

    assert result.billed_ms == min(run.metered_ms for run in runs)


@given(st.integers(1, 1000), st.integers(1, 5), st.integers(1, 3600), st.integers(0, 10**8), st.integers(0, 10**6))
def test_the_hold_covers_whatever_settlement_can_come_to(tasks, bought, max_seconds, limit, royalty):
    held = metering.worst_case(
        tasks=tasks,
        executions=bought,
        max_seconds=max_seconds,
        limit_price_micro=limit,
        quantity_milli=1000,
        royalty_micro=royalty,
    )
    runs = [
        Execution(number, HOLD, limit, 1000, max_seconds * 1000, {"coop:1:member:4": 10_000})
        for number in range(bought)
    ]
    result = settle(runs, royalty=Royalty(royalty, HOLD, "coop:1:member:9"), rules=RULES, funds=FUNDS)

    paid = -sum(entry.amount_micro for entry in result.entries if entry.address == HOLD)
    assert tasks * paid <= held


def test_a_bill_by_hand():
    """36 s at 1 credit per hour is 0.01 credit: 8 500 micro to the operator and so on; royalty 500 less 5 %."""
    run = Execution(1, HOLD, 1_000_000, 1000, 36_000, {"coop:1:member:4": 10_000})

    result = settle([run], royalty=Royalty(500, HOLD, "coop:1:member:9"), rules=RULES, funds=FUNDS)

    assert {entry.address: entry.amount_micro for entry in result.entries} == {
        HOLD: -10_500,
        "coop:1:member:4": 8_500,
        "coop:1:treasury": 800 + 25,
        "coop:1:reserve": 400,
        "coop:1:assurance": 300,
        "coop:1:member:9": 475,
    }
