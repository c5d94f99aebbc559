"""Setting credits aside before something is bought, and giving back what was not used.

A hold lies at its own address, so that paying from it needs no lock on the payer.
"""

from django.db import transaction

from common.money import CREDIT
from common.words import said as _
from ledger import queries
from ledger.core import postings
from ledger.core.postings import Entry, NewTransfer
from ledger.services import transfers


@transaction.atomic
def hold(*, payer: str, hold_address: str, amount_micro: int, key: str, reason: str = "") -> int:
    """Move `amount_micro` (> 0) from the payer to `hold_address`, under the payer's lock; return the transfer id.

    Raises: transfers.InsufficientFunds with what is available and needed, transfers.KeyReused,
    postings.BadTransfer, addresses.BadAddress.
    """
    if amount_micro <= 0:
        raise postings.BadTransfer(
            _("found a hold of %(amount_micro)s micro; only more than 0 is accepted", amount_micro=amount_micro)
        )
    entries = (Entry(payer, -amount_micro), Entry(hold_address, amount_micro))
    return transfers.post([NewTransfer(key, "HOLD", entries, reason)])[0]


@transaction.atomic
def release(*, hold_address: str, payer: str, key: str, reason: str = "") -> int:
    """Give the whole remainder of a hold back to the payer and return its amount in micro; 0 if it is empty.

    The same release again returns the amount it moved. Raises: transfers.KeyReused, addresses.BadAddress.
    """
    transfers.lock_debited([hold_address])
    before = queries.postings_of(key)
    amount_micro = abs(before[0].amount_micro) if before else queries.balance(hold_address, CREDIT)
    if amount_micro == 0:
        return 0
    entries = (Entry(hold_address, -amount_micro), Entry(payer, amount_micro))
    transfers.post([NewTransfer(key, "RELEASE", entries, reason)])
    return amount_micro
