"""What the ledger answers. Amounts are micro-units of an asset."""

from ledger.queries.accounts import AccountKind, accounts_under, totals
from ledger.queries.balances import AccountBalance, accounts_of, balance, balances, trial_balance
from ledger.queries.differences import Difference, Extent, extent, find_differences, open_freezes, payouts_frozen
from ledger.queries.statements import StatementLine, balances_by_time, first_at, other_sides, postings_of, statement

__all__ = [
    "AccountBalance",
    "AccountKind",
    "Difference",
    "Extent",
    "StatementLine",
    "accounts_of",
    "accounts_under",
    "balance",
    "balances",
    "balances_by_time",
    "extent",
    "find_differences",
    "first_at",
    "open_freezes",
    "other_sides",
    "payouts_frozen",
    "postings_of",
    "statement",
    "totals",
    "trial_balance",
]
