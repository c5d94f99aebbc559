"""What the ledger answers. Amounts are micro-units of an asset."""

from ledger.queries.balances import AccountBalance, accounts_of, balance, balances, trial_balance
from ledger.queries.differences import Difference, Extent, extent, find_differences, payouts_frozen
from ledger.queries.statements import StatementLine, postings_of, statement

__all__ = [
    "AccountBalance",
    "Difference",
    "Extent",
    "StatementLine",
    "accounts_of",
    "balance",
    "balances",
    "extent",
    "find_differences",
    "payouts_frozen",
    "postings_of",
    "statement",
    "trial_balance",
]
