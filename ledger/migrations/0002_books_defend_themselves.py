"""The database refuses what would make the books wrong, whoever writes. Nothing here computes a stored value.

Errors of these triggers are check violations that name what was found. They see the state at commit.
"""

from django.db import migrations

from common.migrations import append_only

BALANCE = """
-- The one definition of a balance: what the projector folded, plus the postings since its cut.
-- Exact in any one statement: the cut, the projections and the postings are seen in the same snapshot.
CREATE VIEW ledger_balance AS
SELECT account.id AS account_id, account.address, account.asset, account.may_be_negative,
       (COALESCE(projection.balance_micro, 0) + COALESCE(later.total_micro, 0))::bigint AS balance_micro
  FROM ledger_ledgeraccount AS account
  LEFT JOIN ledger_balanceprojection AS projection ON projection.account_id = account.id
 CROSS JOIN LATERAL (
       SELECT sum(posting.amount_micro) AS total_micro
         FROM ledger_posting AS posting
        WHERE posting.account_id = account.id
          AND posting.xid >= COALESCE((SELECT upto_xid FROM ledger_projectioncut), '0'::xid8)
       ) AS later;
"""

ONE_TRANSACTION = """
-- A transfer and its postings carry the id of the transaction that wrote them.
CREATE FUNCTION ledger_refuse_foreign_xid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%: found transaction id %, only the current one is accepted', TG_TABLE_NAME, NEW.xid
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
END $$;
CREATE TRIGGER ledger_transfer_own_xid BEFORE INSERT ON ledger_transfer
  FOR EACH ROW WHEN (NEW.xid <> pg_current_xact_id()) EXECUTE FUNCTION ledger_refuse_foreign_xid();
CREATE TRIGGER ledger_posting_own_xid BEFORE INSERT ON ledger_posting
  FOR EACH ROW WHEN (NEW.xid <> pg_current_xact_id()) EXECUTE FUNCTION ledger_refuse_foreign_xid();

-- Postings are added in the transaction that made their transfer, and never behind the projector's cut
-- (which can only happen after a logical restore into another server: see rebuild_balances).
CREATE FUNCTION ledger_postings_join_their_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  stranger bigint;
BEGIN
  SELECT added.transfer_id INTO stranger
    FROM added LEFT JOIN ledger_transfer AS transfer ON transfer.id = added.transfer_id
   WHERE transfer.xid IS DISTINCT FROM pg_current_xact_id() LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'transfer % was not made in this transaction; no posting may be added to it', stranger
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  IF EXISTS (SELECT FROM ledger_projectioncut WHERE upto_xid > pg_current_xact_id()) THEN
    RAISE EXCEPTION 'balances were projected by another server; run manage.py rebuild_balances'
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_posting_joins_transfer AFTER INSERT ON ledger_posting
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_postings_join_their_transfer();
"""

SUM_TO_ZERO = """
-- At commit every transfer has at least two postings and sums to zero per asset.
CREATE FUNCTION ledger_transfer_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wanted bigint;
  found_postings bigint;
  excess text;
BEGIN
  IF TG_TABLE_NAME = 'ledger_transfer' THEN wanted := NEW.id; ELSE wanted := NEW.transfer_id; END IF;
  SELECT COALESCE(sum(postings), 0), string_agg(format('%s micro %s', total_micro, asset), ', ')
           FILTER (WHERE total_micro <> 0)
    INTO found_postings, excess
    FROM (SELECT account.asset, count(*) AS postings, sum(posting.amount_micro) AS total_micro
            FROM ledger_posting AS posting
            JOIN ledger_ledgeraccount AS account ON account.id = posting.account_id
           WHERE posting.transfer_id = wanted
           GROUP BY account.asset) AS per_asset;
  IF found_postings < 2 THEN
    RAISE EXCEPTION 'transfer % has % postings; at least two are accepted', wanted, found_postings
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  ELSIF excess IS NOT NULL THEN
    RAISE EXCEPTION 'transfer % sums to %; only zero is accepted', wanted, excess
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transfer_balances AFTER INSERT ON ledger_transfer
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_transfer_must_balance();
CREATE CONSTRAINT TRIGGER ledger_posting_balances AFTER INSERT ON ledger_posting
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_transfer_must_balance();
"""

NEVER_NEGATIVE = """
-- At commit no account that may not owe is below zero. The lock is the one that common.locks takes for
-- the same address: services hold it already, any other writer waits here for whoever is ahead of it.
-- Only READ COMMITTED sees what those wrote before the lock was given.
CREATE FUNCTION ledger_account_must_not_owe() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  account ledger_ledgeraccount;
  found_micro bigint;
BEGIN
  SELECT * INTO account FROM ledger_ledgeraccount WHERE id = NEW.account_id;
  IF account.may_be_negative THEN
    RETURN NULL;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'found isolation %; credits are taken from % in READ COMMITTED only',
      current_setting('transaction_isolation'), account.address
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  PERFORM pg_advisory_xact_lock(
    CASE WHEN starts_with(account.address, 'hold:') THEN 4 ELSE 5 END,
    ('x' || encode(substr(sha256(convert_to(account.address, 'UTF8')), 1, 4), 'hex'))::bit(32)::int);
  SELECT balance_micro INTO found_micro FROM ledger_balance WHERE account_id = NEW.account_id;
  IF found_micro < 0 THEN
    RAISE EXCEPTION '% would hold % micro %; at least 0 is accepted', account.address, found_micro, account.asset
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_posting_never_negative AFTER INSERT ON ledger_posting
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.amount_micro < 0)
  EXECUTE FUNCTION ledger_account_must_not_owe();
"""

UNDO_ONE_TRANSACTION = """
DROP TRIGGER ledger_posting_joins_transfer ON ledger_posting;
DROP TRIGGER ledger_posting_own_xid ON ledger_posting;
DROP TRIGGER ledger_transfer_own_xid ON ledger_transfer;
DROP FUNCTION ledger_postings_join_their_transfer;
DROP FUNCTION ledger_refuse_foreign_xid;
"""
UNDO_SUM_TO_ZERO = """
DROP TRIGGER ledger_posting_balances ON ledger_posting;
DROP TRIGGER ledger_transfer_balances ON ledger_transfer;
DROP FUNCTION ledger_transfer_must_balance;
"""
UNDO_NEVER_NEGATIVE = """
DROP TRIGGER ledger_posting_never_negative ON ledger_posting;
DROP FUNCTION ledger_account_must_not_owe;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [
        append_only("ledger_ledgeraccount"),
        append_only("ledger_transfer"),
        append_only("ledger_posting"),
        append_only("ledger_payoutfreeze"),
        append_only("ledger_payoutfreezelift"),
        migrations.RunSQL(BALANCE, "DROP VIEW ledger_balance;"),
        migrations.RunSQL(ONE_TRANSACTION, UNDO_ONE_TRANSACTION),
        migrations.RunSQL(SUM_TO_ZERO, UNDO_SUM_TO_ZERO),
        migrations.RunSQL(NEVER_NEGATIVE, UNDO_NEVER_NEGATIVE),
    ]
