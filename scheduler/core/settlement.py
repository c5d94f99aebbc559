"""Who gets what for an accepted task: one transfer that sums to zero.

The bill is compute plus royalty. Compute of each agreeing execution is billed at its lease's price for
the lowest metered time among them, and split by policy among operator, treasury, reserve and assurance;
the operator's part is split among the node's owners. The royalty goes to the publisher less a fee.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounts.core.policy import Rules
from common import money
from ledger.core.postings import Entry
from ledger.core.split import split
from scheduler.core import metering


@dataclass(frozen=True)
class Execution:
    """One agreeing execution. `owners` maps wallet to basis points of the operator's part."""

    attempt_id: int
    paid_by: str
    price_micro: int
    quantity_milli: int
    metered_ms: int
    owners: Mapping[str, int]


@dataclass(frozen=True)
class Royalty:
    """What the publisher of the model earns for one accepted task, and who pays."""

    amount_micro: int
    paid_by: str
    wallet: str


@dataclass(frozen=True)
class Funds:
    """The cooperative's accounts."""

    treasury: str
    reserve: str
    assurance: str


@dataclass(frozen=True)
class Settlement:
    """The entries of the transfer (empty when everything is free) and what each execution was billed."""

    entries: tuple[Entry, ...]
    billed_ms: int
    billed_micro: Mapping[int, int]
    """Attempt -> compute billed for it."""
    earned_micro: Mapping[int, Mapping[str, int]]
    """Attempt -> wallet -> what its owner earned."""
    royalty_earned_micro: int


def settle(executions: Sequence[Execution], *, royalty: Royalty | None, rules: Rules, funds: Funds) -> Settlement:
    """Compute the settlement of one accepted task."""
    billed_ms = min(execution.metered_ms for execution in executions)
    moves: Counter[str] = Counter()
    earned: dict[int, dict[str, int]] = {}
    billed: dict[int, int] = {}
    for execution in executions:
        amount = money.round_half_up(
            metering.cost(price_micro=execution.price_micro, quantity_milli=execution.quantity_milli, ms=billed_ms)
        )
        billed[execution.attempt_id] = amount
        moves[execution.paid_by] -= amount
        parts = split(amount, _policy_weights(rules))
        earned[execution.attempt_id] = split(parts["operator"], execution.owners)
        for wallet, part in earned[execution.attempt_id].items():
            moves[wallet] += part
        moves[funds.treasury] += parts["treasury"]
        moves[funds.reserve] += parts["reserve"]
        moves[funds.assurance] += parts["assurance"]
    royalty_earned = 0
    if royalty is not None and royalty.amount_micro:
        fee = split(
            royalty.amount_micro,
            {"publisher": money.BASIS_POINTS - rules.royalty_fee_bp, "fee": rules.royalty_fee_bp},
        )
        moves[royalty.paid_by] -= royalty.amount_micro
        moves[royalty.wallet] += fee["publisher"]
        moves[funds.treasury] += fee["fee"]
        royalty_earned = fee["publisher"]
    entries = tuple(Entry(address, amount) for address, amount in sorted(moves.items()) if amount)
    return Settlement(entries, billed_ms, billed, earned, royalty_earned)


def _policy_weights(rules: Rules) -> dict[str, int]:
    return {
        "operator": rules.operator_bp,
        "treasury": rules.treasury_bp,
        "reserve": rules.reserve_bp,
        "assurance": rules.assurance_bp,
    }
