"""Rows of these tables never change."""

from django.db import migrations

from common.migrations import append_only


class Migration(migrations.Migration):
    dependencies = [("reputation", "0001_initial")]
    operations = [
        append_only("reputation_evidence"),
        append_only("reputation_contribution"),
    ]
