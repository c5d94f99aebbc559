"""What work must have cost, computed once more from the rows of attempts: Fractions, written for the audit alone.

It imports nothing of the platform, so that an error there cannot excuse itself here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

WHOLE_BP = 10_000
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Work:
    """An attempt whose result agreed. `shares` maps wallets to basis points of the operator's part."""

    attempt_id: int
    paid_by: str
    price_micro: int
    lot_milli: int
    claimed_at: datetime
    submitted_at: datetime
    shares: Mapping[str, int]


@dataclass(frozen=True)
class Terms:
    """What the job and its cooperative agreed on."""

    cooperative: str
    rules: Mapping[str, int]
    longest: timedelta
    royalty_micro: int
    royalty_paid_by: str
    publisher: str


@dataclass(frozen=True)
class Due:
    """What must have moved for one accepted task, by address, and what each attempt must have been billed."""

    moves: Mapping[str, int]
    billed_micro: Mapping[int, int]
    metered: timedelta


def half_up(amount: Fraction) -> int:
    """The nearest whole number; a half goes up."""
    return int((amount + Fraction(1, 2)) // 1)


def in_whole_ms(span: timedelta) -> timedelta:
    """A span by the millisecond, as meters show it."""
    microseconds = span // timedelta(microseconds=1)
    return timedelta(milliseconds=half_up(Fraction(microseconds, 1000)))


def hours(span: timedelta) -> Fraction:
    """A span in hours, exactly."""
    return Fraction(span // timedelta(microseconds=1), HOUR // timedelta(microseconds=1))


def worst_case(*, tasks: int, executions: int, longest: timedelta, limit_price_micro: int, royalty_micro: int) -> int:
    """What must be held for a job on lots of one unit: every execution as long and as dear as it may be."""
    execution = limit_price_micro * hours(longest)
    return tasks * (executions * -(-execution // 1) + royalty_micro)


def divided(amount_micro: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Parts in proportion, whole and complete: who lost most by rounding down gets what is left, names decide ties."""
    total = sum(weights.values())
    exact = {name: Fraction(amount_micro * weight, total) for name, weight in weights.items()}
    parts = {name: int(share // 1) for name, share in exact.items()}
    waiting = sorted(weights, key=lambda name: (parts[name] - exact[name], name))
    for name in waiting[: amount_micro - sum(parts.values())]:
        parts[name] += 1
    return parts


def due(works: Sequence[Work], terms: Terms) -> Due:
    """What an accepted task costs whom: each agreeing execution for the lowest metered time among them."""
    metered = min(min(in_whole_ms(work.submitted_at - work.claimed_at), terms.longest) for work in works)
    moves: Counter[str] = Counter()
    billed: dict[int, int] = {}
    for work in works:
        amount = half_up(work.price_micro * Fraction(work.lot_milli, 1000) * hours(metered))
        billed[work.attempt_id] = amount
        moves[work.paid_by] -= amount
        weights = {name: terms.rules[f"{name}_bp"] for name in ("operator", "treasury", "reserve", "assurance")}
        parts = divided(amount, weights)
        for wallet, part in divided(parts.pop("operator"), work.shares).items():
            moves[wallet] += part
        for fund, part in parts.items():
            moves[f"{terms.cooperative}:{fund}"] += part
    if terms.royalty_micro:
        fee_bp = terms.rules["royalty_fee_bp"]
        royalty = divided(terms.royalty_micro, {"fee": fee_bp, "publisher": WHOLE_BP - fee_bp})
        moves[terms.royalty_paid_by] -= terms.royalty_micro
        moves[terms.publisher] += royalty["publisher"]
        moves[f"{terms.cooperative}:treasury"] += royalty["fee"]
    return Due({address: amount for address, amount in moves.items() if amount}, billed, metered)
