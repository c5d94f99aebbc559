"""Folding old postings into one number per account, so that no balance ever sums its whole past.

A posting may be folded once nothing older can still appear: transactions commit in any order, but all
below pg_snapshot_xmin() have ended. Postings from there on are summed by the view `ledger_balance`.
"""

from typing import Final

from django.db import connection, transaction

from common import errors
from common.words import said as _

PROJECTOR_LOCK: Final = 0x6C65646765720001
"""Key of the advisory lock that makes the projector the only one; no other code uses the 64-bit keys."""

FOLD = """
WITH cut AS MATERIALIZED (
  SELECT COALESCE((SELECT upto_xid FROM ledger_projectioncut), '0'::xid8) AS from_xid,
         pg_snapshot_xmin(pg_current_snapshot()) AS upto_xid),
folded AS (
  INSERT INTO ledger_balanceprojection AS projection (account_id, balance_micro)
  SELECT posting.account_id, sum(posting.amount_micro)
    FROM ledger_posting AS posting
   WHERE posting.xid >= (SELECT from_xid FROM cut) AND posting.xid < (SELECT upto_xid FROM cut)
   GROUP BY posting.account_id
      ON CONFLICT (account_id) DO UPDATE SET balance_micro = projection.balance_micro + EXCLUDED.balance_micro
  RETURNING 1)
INSERT INTO ledger_projectioncut AS current (id, upto_xid)
SELECT 1, cut.upto_xid FROM cut WHERE cut.from_xid <= cut.upto_xid
    ON CONFLICT (id) DO UPDATE SET upto_xid = EXCLUDED.upto_xid
RETURNING (SELECT count(*) FROM folded)
"""


class BalancesFromElsewhere(errors.Conflict):
    """The projections were made by another server and cannot be continued here."""

    code = "balances_from_elsewhere"
    title = _("Balances were projected by another server; run manage.py rebuild_balances")


@transaction.atomic
def project_balances() -> int:
    """Fold all finished postings; return how many accounts moved. 0 while another projector is at it.

    Raises: BalancesFromElsewhere.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [PROJECTOR_LOCK])
        is_alone = cursor.fetchone()[0]
    return _fold() if is_alone else 0


@transaction.atomic
def rebuild_balances() -> int:
    """Forget all projections and fold again from the postings; return the number of accounts.

    Needed once after a logical restore (pg_dump and pg_restore, an upgrade by dump, replication into a
    new cluster). Postings carry the transaction ids of the server that wrote them; a new server counts
    from the beginning again, so the restored cut lies in its future and hides new postings. Until this
    ran, the database refuses new postings, the projector refuses to fold and `check_ledger` says why.
    A physical copy (pg_basebackup) keeps its ids and needs nothing.

    Balances are exact as soon as this commits. Restored postings whose ids the new server has not reached
    stay out of the projection and are summed at each read, so accounts with a long past answer more slowly
    until it has.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PROJECTOR_LOCK])
        cursor.execute("DELETE FROM ledger_balanceprojection")
        cursor.execute("DELETE FROM ledger_projectioncut")
    return _fold()


def _fold() -> int:
    with connection.cursor() as cursor:
        cursor.execute(FOLD)
        row = cursor.fetchone()
    if row is None:
        raise BalancesFromElsewhere()
    accounts: int = row[0]
    return accounts
