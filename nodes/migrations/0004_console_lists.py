"""Indexes of the console's list of nodes and of its attention queue."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_steward_acts'),
        ('nodes', '0003_shares_are_whole'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='node',
            index=models.Index(fields=['cooperative', '-id'], name='node_newest'),
        ),
        migrations.AddIndex(
            model_name='node',
            index=models.Index(condition=models.Q(('state', 'QUARANTINED')), fields=['cooperative', 'id'], name='node_quarantined'),
        ),
    ]
