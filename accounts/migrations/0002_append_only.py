"""Rows of these tables never change."""

from django.db import migrations

from common.migrations import append_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [
        append_only("accounts_policyversion"),
        append_only("accounts_policyadoption"),
    ]
