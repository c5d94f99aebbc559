"""The audit's own arithmetic against the platform's: written apart, they must never differ by a micro-credit."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from accounts.core.policy import Rules
from scheduler.core import settlement
from tests.faults import arithmetic

BEGAN = datetime(2026, 11, 21, tzinfo=UTC)
CAP_MS = 30_000
FUNDS = settlement.Funds("coop:1:treasury", "coop:1:reserve", "coop:1:assurance")


@st.composite
def rules(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3)))
    parts = [right - left for left, right in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    operator, treasury, reserve, assurance = parts
    return Rules(operator, treasury, reserve, assurance, royalty_fee_bp=draw(st.integers(0, 10_000)))


@st.composite
def works(draw):
    found = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        cut = draw(st.integers(1, 9_999))
        shares = draw(
            st.sampled_from(
                [{f"coop:1:member:{number}": 10_000}, {"coop:1:member:9": cut, "coop:1:member:10": 10_000 - cut}]
            )
        )
        found.append(
            arithmetic.Work(
                attempt_id=number,
                paid_by=draw(st.sampled_from(["hold:job:5", "coop:1:assurance"])),
                price_micro=draw(st.integers(0, 10**12)),
                lot_milli=draw(st.integers(1, 10_000)),
                claimed_at=BEGAN,
                submitted_at=BEGAN + timedelta(microseconds=draw(st.integers(0, 60_000_000))),
                shares=shares,
            )
        )
    return found


@given(works=works(), rules=rules(), royalty_micro=st.integers(0, 10**9))
def test_both_ways_to_compute_a_settlement_agree(works, rules, royalty_micro):
    terms = arithmetic.Terms(
        cooperative="coop:1",
        rules={name: getattr(rules, name) for name in rules.__dataclass_fields__},
        longest=timedelta(milliseconds=CAP_MS),
        royalty_micro=royalty_micro,
        royalty_paid_by="hold:job:5",
        publisher="coop:1:member:7",
    )

    due = arithmetic.due(works, terms)

    settled = settlement.settle(
        [
            settlement.Execution(
                attempt_id=work.attempt_id,
                paid_by=work.paid_by,
                price_micro=work.price_micro,
                quantity_milli=work.lot_milli,
                metered_ms=min(
                    arithmetic.in_whole_ms(work.submitted_at - work.claimed_at) // timedelta(milliseconds=1), CAP_MS
                ),
                owners=work.shares,
            )
            for work in works
        ],
        royalty=settlement.Royalty(royalty_micro, "hold:job:5", "coop:1:member:7"),
        rules=rules,
        funds=FUNDS,
    )
    assert dict(due.moves) == {entry.address: entry.amount_micro for entry in settled.entries}
    assert due.billed_micro == settled.billed_micro
    assert sum(due.moves.values()) == 0


@given(amount=st.integers(0, 10**15), weights=st.dictionaries(st.text(min_size=1), st.integers(1, 10**6), min_size=1))
def test_a_division_loses_nothing_and_is_off_by_less_than_one(amount, weights):
    parts = arithmetic.divided(amount, weights)

    assert sum(parts.values()) == amount
    total = sum(weights.values())
    assert all(abs(part * total - amount * weights[name]) < total for name, part in parts.items())
