"""Accounts below a beginning of their addresses, and what all accounts hold by kind. Both without counting."""

from dataclasses import dataclass

from django.db import connection

from common.money import CREDIT
from ledger.queries.balances import AccountBalance

UNDER = """
SELECT address, asset, balance_micro FROM ledger_balance
 WHERE address COLLATE "C" > %(after)s AND address COLLATE "C" < %(end)s AND asset = %(asset)s
 ORDER BY address COLLATE "C" LIMIT %(limit)s
"""

TOTALS = """
WITH cut AS MATERIALIZED (
  SELECT COALESCE((SELECT upto_xid FROM ledger_projectioncut), '0'::xid8) AS xid),
part AS (
  SELECT account_id, balance_micro::numeric AS amount_micro FROM ledger_balanceprojection
  UNION ALL
  SELECT account_id, amount_micro FROM ledger_posting WHERE xid >= (SELECT xid FROM cut))
SELECT CASE WHEN account.address LIKE 'hold:%%' THEN 'holds'
            WHEN account.address NOT LIKE %(own)s THEN 'others'
            WHEN account.address LIKE %(wallets)s THEN 'wallets'
            ELSE split_part(account.address, ':', 3) END AS kind,
       sum(part.amount_micro)::bigint
  FROM part JOIN ledger_ledgeraccount AS account ON account.id = part.account_id
 WHERE account.asset = %(asset)s
 GROUP BY kind
"""
KINDS = ("issuance", "treasury", "reserve", "assurance", "wallets", "holds", "others")


@dataclass(frozen=True, slots=True)
class AccountKind:
    """Accounts of a kind together: a fund, all wallets of a cooperative, all holds, everybody else's accounts."""

    kind: str
    balance_micro: int


def accounts_under(beginning: str, *, after: str = "", limit: int = 50, asset: str = CREDIT) -> list[AccountBalance]:
    """Accounts whose address begins with `beginning` (it ends in ":"), by address, behind `after`."""
    arguments: dict[str, str | int] = {
        "after": max(after, beginning),
        "end": beginning[:-1] + chr(ord(beginning[-1]) + 1),
        "asset": asset,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(UNDER, arguments)
        return [AccountBalance(*row) for row in cursor.fetchall()]


def totals(cooperative_id: int, asset: str = CREDIT) -> list[AccountKind]:
    """What the cooperative's own accounts, all holds and all others hold, in one snapshot; they sum to zero."""
    own = f"coop:{cooperative_id}:%"
    arguments = {"own": own, "wallets": f"coop:{cooperative_id}:member:%", "asset": asset}
    with connection.cursor() as cursor:
        cursor.execute(TOTALS, arguments)
        found = dict(cursor.fetchall())
    return [AccountKind(kind, found.get(kind, 0)) for kind in KINDS]
