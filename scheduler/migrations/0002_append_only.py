"""Rows of these tables never change."""

from django.db import migrations

from common.migrations import append_only


class Migration(migrations.Migration):
    dependencies = [("scheduler", "0001_initial")]
    operations = [
        append_only("scheduler_jobevent"),
    ]
