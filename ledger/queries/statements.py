"""What happened at one address, and what one transfer did."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from common.money import CREDIT
from ledger.core import addresses
from ledger.core.postings import Entry
from ledger.models import Posting

FIRST_FROM = """COALESCE((
       SELECT min(id) FROM ledger_posting WHERE transfer_id = (
         SELECT id FROM ledger_transfer WHERE made_at >= %({at})s {margin} interval '1 day'
          ORDER BY made_at, id LIMIT 1)), 9223372036854775807)"""
"""The first posting around a moment. Transfers are made in the order of their numbers but for those whose
transactions ran at the same time, or between which the clock was set: with a day of margin this bounds them."""
STATEMENT = """
WITH account AS MATERIALIZED (
  SELECT account_id, balance_micro FROM ledger_balance WHERE address = %(address)s AND asset = %(asset)s),
page AS (
  SELECT posting.id, transfer_id, amount_micro FROM ledger_posting AS posting{joined}
   WHERE account_id = (SELECT account_id FROM account) AND posting.id < %(before_id)s{narrowed}
   ORDER BY posting.id DESC LIMIT %(limit)s),
newer AS (  -- postings above the page
  SELECT COALESCE(sum(amount_micro), 0) AS total_micro FROM ledger_posting
   WHERE account_id = (SELECT account_id FROM account) AND id >= %(before_id)s),
running AS (  -- each posting from there down to the end of the page, and what lies above it
  SELECT id, COALESCE(sum(amount_micro) OVER (
           ORDER BY id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS above_micro
    FROM ledger_posting
   WHERE account_id = (SELECT account_id FROM account) AND id < %(before_id)s AND id >= (SELECT min(id) FROM page))
SELECT page.id, transfer.idempotency_key, transfer.kind, transfer.reason, transfer.made_at, page.amount_micro,
       (account.balance_micro - newer.total_micro - running.above_micro)::bigint
  FROM page JOIN running USING (id) CROSS JOIN account CROSS JOIN newer
  JOIN ledger_transfer AS transfer ON transfer.id = page.transfer_id
 ORDER BY page.id DESC
"""
JOINED = " JOIN ledger_transfer AS transfer ON transfer.id = posting.transfer_id"
OF_KINDS = " AND transfer.kind = ANY(%(kinds)s)"
BETWEEN = f"""
     AND transfer.made_at >= %(since)s AND transfer.made_at < %(until)s
     AND posting.id >= {FIRST_FROM.format(at="since", margin="-")}
     AND posting.id < {FIRST_FROM.format(at="until", margin="+")}"""
BY_TIME = """
WITH account AS MATERIALIZED (
  SELECT account_id, balance_micro FROM ledger_balance WHERE address = %(address)s AND asset = %(asset)s),
cut AS MATERIALIZED (
  SELECT at, COALESCE((SELECT min(id) FROM ledger_posting WHERE transfer_id = (
           SELECT id FROM ledger_transfer WHERE made_at >= at ORDER BY made_at, id LIMIT 1)), %(after_all)s) AS first_id
    FROM unnest(%(moments)s::timestamptz[]) AS at),
stretch AS MATERIALIZED (
  SELECT at, first_id, lead(first_id, 1, %(after_all)s) OVER (ORDER BY at) AS next_id FROM cut),
moved AS (
  SELECT at, COALESCE((SELECT sum(amount_micro) FROM ledger_posting
                        WHERE account_id = account.account_id AND id >= first_id AND id < next_id), 0) AS moved_micro,
         account.balance_micro
    FROM stretch CROSS JOIN account)
SELECT at, (balance_micro - sum(moved_micro) OVER (ORDER BY at DESC))::bigint FROM moved ORDER BY at
"""
AFTER_ALL = 2**63 - 1
BIRTH = """
SELECT made_at FROM ledger_transfer WHERE id = (
  SELECT transfer_id FROM ledger_posting WHERE account_id = (
    SELECT id FROM ledger_ledgeraccount WHERE address = %s AND asset = %s) ORDER BY id LIMIT 1)
"""


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
    address: str,
    *,
    before_id: int | None = None,
    limit: int = 50,
    asset: str = CREDIT,
    kinds: Sequence[str] = (),
    period: tuple[datetime.datetime, datetime.datetime] | None = None,
) -> list[StatementLine]:
    """The latest postings at `address`, newest (highest id) first, with the running balance.

    `kinds` of transfers and a `period` (its end excluded) leave lines out; the balances stay what they were.

    `before_id` is the id of the last line already shown. A posting still uncommitted may later appear
    between lines shown now: ids are given out before commit. Raises: addresses.BadAddress.
    """
    arguments: dict[str, Any] = {
        "address": addresses.check(address),
        "asset": asset,
        "before_id": AFTER_ALL if before_id is None else before_id,
        "limit": limit,
    }
    narrowed = ""
    if kinds:
        narrowed, arguments = OF_KINDS, arguments | {"kinds": list(kinds)}
    if period is not None:
        narrowed, arguments = narrowed + BETWEEN, arguments | dict(zip(("since", "until"), period, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(STATEMENT.format(joined=JOINED if narrowed else "", narrowed=narrowed), arguments)
        return [StatementLine(*row) for row in cursor.fetchall()]


def first_at(address: str, asset: str = CREDIT) -> datetime.datetime | None:
    """When credits first came to `address`; None where none ever did."""
    with connection.cursor() as cursor:
        cursor.execute(BIRTH, [addresses.check(address), asset])
        row = cursor.fetchone()
    return row[0] if row else None


def balances_by_time(
    address: str, moments: Sequence[datetime.datetime], asset: str = CREDIT
) -> list[tuple[datetime.datetime, int]]:
    """What lay at `address` at each of the moments, the earliest first; empty where nothing was ever posted.

    A transfer whose transaction ran at such a moment may count before it or after it. Raises: addresses.BadAddress.
    """
    arguments: dict[str, Any] = {
        "address": addresses.check(address),
        "asset": asset,
        "moments": list(moments),
        "after_all": AFTER_ALL,
    }
    with connection.cursor() as cursor:
        cursor.execute(BY_TIME, arguments)
        return [(at, balance_micro) for at, balance_micro in cursor.fetchall()]


def other_sides(address: str, keys: Sequence[str]) -> dict[str, list[str]]:
    """For each of the transfers, the addresses at the other side of it than `address`."""
    rows = (
        Posting.objects.filter(transfer__idempotency_key__in=keys)
        .exclude(account__address=address)
        .order_by("id")
        .values_list("transfer__idempotency_key", "account__address")
    )
    found: dict[str, list[str]] = {}
    for key, other in rows:
        found.setdefault(key, []).append(other)
    return found


def postings_of(key: str) -> list[Entry]:
    """The entries of the transfer made under `key`, in the order of writing; empty if there is none."""
    rows = (
        Posting.objects.filter(transfer__idempotency_key=key)
        .order_by("id")
        .values_list("account__address", "amount_micro", "account__asset")
    )
    return [Entry(*row) for row in rows]
