"""The same refusals, asked once for each transfer and account of a transaction instead of once for each posting.

The triggers are deferred: every one of them sees all that the transaction wrote. So the newest posting of a
transfer, and the newest debit of an account, can speak for the others. Whoever sets the constraints immediate
adds postings later, and the newest of those is asked again.
"""

from django.db import migrations

BALANCE = """
CREATE OR REPLACE FUNCTION ledger_transfer_must_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  wanted bigint;
  found_postings bigint;
  excess text;
BEGIN
  IF TG_TABLE_NAME = 'ledger_transfer' THEN
    wanted := NEW.id;
  ELSE
    wanted := NEW.transfer_id;
    {once}
  END IF;
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
"""
NEWEST_OF_TRANSFER = """IF EXISTS (SELECT FROM ledger_posting WHERE transfer_id = wanted AND id > NEW.id) THEN
      RETURN NULL;
    END IF;"""

OWE = """
CREATE OR REPLACE FUNCTION ledger_account_must_not_owe() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  account ledger_ledgeraccount;
  found_micro bigint;
BEGIN
  {once}
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
"""
NEWEST_DEBIT = """IF EXISTS (SELECT FROM ledger_posting
              WHERE account_id = NEW.account_id AND xid = NEW.xid AND id > NEW.id AND amount_micro < 0) THEN
    RETURN NULL;
  END IF;"""


def _with(text: str, once: str) -> str:
    return text.replace("{once}", once)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_accounts_by_address")]
    operations = [
        migrations.RunSQL(_with(BALANCE, NEWEST_OF_TRANSFER), _with(BALANCE, "")),
        migrations.RunSQL(_with(OWE, NEWEST_DEBIT), _with(OWE, "")),
    ]
