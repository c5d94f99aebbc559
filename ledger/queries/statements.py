"""What happened at one address, and what one transfer did."""

import datetime
from dataclasses import dataclass

from django.db import connection

from common.money import CREDIT
from ledger.core import addresses
from ledger.core.postings import Entry
from ledger.models import Posting

STATEMENT = """
WITH account AS MATERIALIZED (
  SELECT account_id, balance_micro FROM ledger_balance WHERE address = %(address)s AND asset = %(asset)s),
page AS (
  SELECT id, transfer_id, amount_micro FROM ledger_posting
   WHERE account_id = (SELECT account_id FROM account) AND id < %(before_id)s
   ORDER BY id DESC LIMIT %(limit)s),
newer AS (  -- postings above the page
  SELECT COALESCE(sum(amount_micro), 0) AS total_micro FROM ledger_posting
   WHERE account_id = (SELECT account_id FROM account) AND id >= %(before_id)s)
SELECT page.id, transfer.idempotency_key, transfer.kind, transfer.reason, transfer.made_at, page.amount_micro,
       (account.balance_micro - newer.total_micro - COALESCE(sum(page.amount_micro) OVER (
          ORDER BY page.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0))::bigint
  FROM page CROSS JOIN account CROSS JOIN newer JOIN ledger_transfer AS transfer ON transfer.id = page.transfer_id
 ORDER BY page.id DESC
"""
AFTER_ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One posting on an account and what lay there after it; `id` continues the statement below it."""

    id: int
    key: str
    kind: str
    reason: str
    made_at: datetime.datetime
    amount_micro: int
    balance_micro: int


def statement(
    address: str, *, before_id: int | None = None, limit: int = 50, asset: str = CREDIT
) -> list[StatementLine]:
    """The latest postings at `address`, newest (highest id) first, with the running balance.

    `before_id` is the id of the last line already shown. A posting still uncommitted may later appear
    between lines shown now: ids are given out before commit. Raises: addresses.BadAddress.
    """
    arguments: dict[str, str | int] = {
        "address": addresses.check(address),
        "asset": asset,
        "before_id": AFTER_ALL if before_id is None else before_id,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT, arguments)
        return [StatementLine(*row) for row in cursor.fetchall()]


def postings_of(key: str) -> list[Entry]:
    """The entries of the transfer made under `key`, in the order of writing; empty if there is none."""
    rows = (
        Posting.objects.filter(transfer__idempotency_key=key)
        .order_by("id")
        .values_list("account__address", "amount_micro", "account__asset")
    )
    return [Entry(*row) for row in rows]
