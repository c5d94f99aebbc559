"""The shares of a node sum to 10 000 basis points when a transaction commits."""

from django.db import migrations

CREATE = """
CREATE FUNCTION nodes_shares_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  shared bigint;
  total bigint;
BEGIN
  FOREACH shared IN ARRAY ARRAY[OLD.node_id, NEW.node_id] LOOP
    IF shared IS NOT NULL THEN
      SELECT coalesce(sum(share_bp), 0) INTO total FROM nodes_nodeshare WHERE node_id = shared;
      IF total <> 10000 THEN
        RAISE EXCEPTION 'the shares of node % sum to % basis points, not 10000', shared, total
          USING ERRCODE = 'check_violation', CONSTRAINT = 'nodeshare_sum_is_whole';
      END IF;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER nodeshare_sum_is_whole AFTER INSERT OR UPDATE OR DELETE ON nodes_nodeshare
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION nodes_shares_are_whole();
"""
DROP = """
DROP TRIGGER nodeshare_sum_is_whole ON nodes_nodeshare;
DROP FUNCTION nodes_shares_are_whole();
"""


class Migration(migrations.Migration):
    dependencies = [("nodes", "0002_append_only")]
    operations = [migrations.RunSQL(sql=CREATE, reverse_sql=DROP)]
