"""Everything that may be done with credits. Each function is one act and one transaction."""

from ledger.core.postings import Entry, NewTransfer
from ledger.services.checks import NothingFrozen, check_ledger, lift_payout_freeze
from ledger.services.holds import hold, release
from ledger.services.projection import BalancesFromElsewhere, project_balances, rebuild_balances
from ledger.services.transfers import (
    AlreadyReversed,
    InsufficientFunds,
    KeyReused,
    UnknownTransfer,
    reverse,
    transfer,
    transfer_many,
)

__all__ = [
    "AlreadyReversed",
    "BalancesFromElsewhere",
    "Entry",
    "InsufficientFunds",
    "KeyReused",
    "NewTransfer",
    "NothingFrozen",
    "UnknownTransfer",
    "check_ledger",
    "hold",
    "lift_payout_freeze",
    "project_balances",
    "rebuild_balances",
    "release",
    "reverse",
    "transfer",
    "transfer_many",
]
