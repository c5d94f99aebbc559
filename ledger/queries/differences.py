"""The audit: everything the books promise, recomputed from the postings in one statement."""

from dataclasses import dataclass
from typing import Final

from django.db import connection

from ledger.core import addresses
from ledger.models import PayoutFreeze, Posting, Transfer

TRIGGERS: Final = {
    "ledger_ledgeraccount_append_only": ("ledger_ledgeraccount", "commongrid_refuse_change"),
    "ledger_ledgeraccount_no_truncate": ("ledger_ledgeraccount", "commongrid_refuse_change"),
    "ledger_transfer_append_only": ("ledger_transfer", "commongrid_refuse_change"),
    "ledger_transfer_no_truncate": ("ledger_transfer", "commongrid_refuse_change"),
    "ledger_transfer_own_xid": ("ledger_transfer", "ledger_refuse_foreign_xid"),
    "ledger_transfer_balances": ("ledger_transfer", "ledger_transfer_must_balance"),
    "ledger_posting_append_only": ("ledger_posting", "commongrid_refuse_change"),
    "ledger_posting_no_truncate": ("ledger_posting", "commongrid_refuse_change"),
    "ledger_posting_own_xid": ("ledger_posting", "ledger_refuse_foreign_xid"),
    "ledger_posting_joins_transfer": ("ledger_posting", "ledger_postings_join_their_transfer"),
    "ledger_posting_balances": ("ledger_posting", "ledger_transfer_must_balance"),
    "ledger_posting_never_negative": ("ledger_posting", "ledger_account_must_not_owe"),
    "ledger_payoutfreeze_append_only": ("ledger_payoutfreeze", "commongrid_refuse_change"),
    "ledger_payoutfreeze_no_truncate": ("ledger_payoutfreeze", "commongrid_refuse_change"),
    "ledger_payoutfreezelift_append_only": ("ledger_payoutfreezelift", "commongrid_refuse_change"),
    "ledger_payoutfreezelift_no_truncate": ("ledger_payoutfreezelift", "commongrid_refuse_change"),
}
"""Each trigger of migrations/0002 with its table and its function."""
MOST_FINDINGS: Final = 1000

AUDIT = """
WITH cut AS MATERIALIZED (
  SELECT COALESCE((SELECT upto_xid FROM ledger_projectioncut), '0'::xid8) AS xid),
line AS MATERIALIZED (  -- the one pass over the postings
  SELECT posting.id, posting.transfer_id, posting.account_id, posting.amount_micro, posting.xid,
         account.address COLLATE "C" AS address, COALESCE(account.asset, '?') COLLATE "C" AS asset
    FROM ledger_posting AS posting
    LEFT JOIN ledger_ledgeraccount AS account ON account.id = posting.account_id),
per_asset AS (
  SELECT transfer_id, asset, sum(amount_micro) AS total_micro FROM line GROUP BY transfer_id, asset),
content AS (  -- a transfer's entries as they stand in its fingerprint
  SELECT transfer_id, count(*) AS postings,
         string_agg('["' || address || '","' || asset || '",' || amount_micro || ']', ','
                    ORDER BY address, asset, amount_micro) AS entries
    FROM line GROUP BY transfer_id),
undone AS (  -- the entries that would undo a transfer which is reversed
  SELECT transfer_id,
         string_agg('["' || address || '","' || asset || '",' || -amount_micro || ']', ','
                    ORDER BY address, asset, -amount_micro) AS mirror
    FROM line WHERE transfer_id IN (SELECT reverses_id FROM ledger_transfer) GROUP BY transfer_id),
written AS (
  SELECT transfer.*, content.postings, content.entries,
         original.id AS original_id, original.idempotency_key AS original_key, undone.mirror
    FROM ledger_transfer AS transfer
    LEFT JOIN content ON content.transfer_id = transfer.id
    LEFT JOIN ledger_transfer AS original ON original.id = transfer.reverses_id
    LEFT JOIN undone ON undone.transfer_id = transfer.reverses_id),
per_account AS (
  SELECT line.account_id, sum(amount_micro) AS total_micro,
         sum(amount_micro) FILTER (WHERE line.xid < cut.xid) AS settled_micro
    FROM line CROSS JOIN cut GROUP BY line.account_id)

SELECT 'transfer_too_small' AS code, idempotency_key AS subject,
       format('found %%s postings; at least two are accepted', COALESCE(postings, 0)) AS detail
  FROM written WHERE COALESCE(postings, 0) < 2
UNION ALL
SELECT 'transfer_unbalanced', COALESCE(transfer.idempotency_key, 'id ' || transfer_id),
       format('found a sum of %%s micro %%s; only 0 is accepted', total_micro, asset)
  FROM per_asset LEFT JOIN ledger_transfer AS transfer ON transfer.id = transfer_id WHERE total_micro <> 0
UNION ALL
SELECT 'asset_unbalanced', asset, format('all accounts together hold %%s micro; only 0 is accepted', sum(total_micro))
  FROM per_asset GROUP BY asset HAVING sum(total_micro) <> 0
UNION ALL
SELECT 'fingerprint_differs', idempotency_key, 'the stored transfer is not the one that was made'
  FROM written
 WHERE fingerprint IS DISTINCT FROM 'sha256:' || encode(sha256(convert_to(
         '{"entries":[' || COALESCE(entries, '') || '],"key":' || to_json(idempotency_key::text)
         || ',"kind":' || to_json(kind::text) || ',"reason":' || to_json(reason::text)
         || ',"reverses":' || COALESCE(to_json(original_key::text)::text, 'null') || '}', 'UTF8')), 'hex')
UNION ALL
SELECT 'reversal_not_mirror', idempotency_key,
       format('does not undo %%s entry by entry', COALESCE(original_key, 'a transfer that exists'))
  FROM written WHERE reverses_id IS NOT NULL AND entries IS DISTINCT FROM mirror
UNION ALL
SELECT 'reversed_twice', original_key, format('found %%s reversals; one is accepted', count(*))
  FROM written WHERE original_id IS NOT NULL GROUP BY original_key HAVING count(*) > 1
UNION ALL
SELECT 'posting_added_later', idempotency_key, 'has postings of another transaction'
  FROM written JOIN line ON line.transfer_id = written.id AND line.xid <> written.xid GROUP BY idempotency_key
UNION ALL
SELECT 'posting_orphaned', 'posting ' || line.id, 'its transfer or its account is missing'
  FROM line LEFT JOIN ledger_transfer AS transfer ON transfer.id = line.transfer_id
 WHERE transfer.id IS NULL OR line.address IS NULL
UNION ALL
SELECT 'projection_differs', COALESCE(account.address, 'account ' || account_id),
       format('projected %%s micro, postings say %%s', COALESCE(balance_micro, 0), COALESCE(settled_micro, 0))
  FROM per_account FULL JOIN ledger_balanceprojection AS projection USING (account_id)
  LEFT JOIN ledger_ledgeraccount AS account ON account.id = account_id
 WHERE COALESCE(balance_micro, 0) <> COALESCE(settled_micro, 0)
UNION ALL
SELECT 'account_negative', address, format('holds %%s micro %%s; at least 0 is accepted', total_micro, asset)
  FROM per_account JOIN ledger_ledgeraccount AS account ON account.id = account_id
 WHERE total_micro < 0 AND address !~ %(may_be_negative)s
UNION ALL
SELECT 'account_misnamed', address, format('may_be_negative is %%s, which its address does not say', may_be_negative)
  FROM ledger_ledgeraccount
 WHERE address !~ %(accepted)s OR may_be_negative <> (address ~ %(may_be_negative)s)
UNION ALL
SELECT 'balances_from_elsewhere', 'transaction ' || cut.xid,
       'the cut lies in this server''s future, as after a logical restore; run manage.py rebuild_balances'
  FROM cut WHERE cut.xid > pg_snapshot_xmin(pg_current_snapshot())
UNION ALL
SELECT 'trigger_not_guarding', expected.name,
       format('on %%s: %%s', expected.on_table, CASE WHEN found.oid IS NULL THEN 'missing' ELSE 'not enabled' END)
  FROM unnest(%(names)s::text[], %(tables)s::text[], %(functions)s::text[])
       AS expected (name, on_table, does)
  LEFT JOIN pg_trigger AS found ON found.tgname = expected.name
       AND found.tgrelid = to_regclass(expected.on_table) AND found.tgfoid = to_regproc(expected.does)
 WHERE found.oid IS NULL OR found.tgenabled NOT IN ('O', 'A')
ORDER BY code, subject, detail
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One promise that the books do not keep: its code, whom it concerns, what was found."""

    code: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.code} {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to check."""

    transfers: int
    postings: int


def find_differences() -> list[Difference]:
    """Every difference between the books and their rules, by code and subject; at most MOST_FINDINGS.

    Checks each transfer (sum per asset, number of postings, fingerprint, mirror of its original), each
    account (projection at its cut, sign), each asset, and that the triggers guard. One snapshot, one pass.
    """
    arguments: dict[str, str | int | list[str]] = {
        "accepted": addresses.ACCEPTED,
        "may_be_negative": addresses.MAY_BE_NEGATIVE,
        "names": list(TRIGGERS),
        "tables": [table for table, _ in TRIGGERS.values()],
        "functions": [function for _, function in TRIGGERS.values()],
        "limit": MOST_FINDINGS,
    }
    with connection.cursor() as cursor:
        cursor.execute(AUDIT, arguments)
        return [Difference(*row) for row in cursor.fetchall()]


def extent() -> Extent:
    """The number of transfers and postings now."""
    return Extent(Transfer.objects.count(), Posting.objects.count())


def payouts_frozen() -> bool:
    """Whether a freeze stands that nobody has lifted."""
    return PayoutFreeze.objects.filter(lift__isnull=True).exists()


def open_freezes() -> list[PayoutFreeze]:
    """The freezes that nobody has lifted, oldest first, with what was found."""
    return list(PayoutFreeze.objects.filter(lift__isnull=True).order_by("id"))
