"""The index behind statements of a month and balances by day."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0004_each_balance_is_checked_once'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='transfer',
            index=models.Index(fields=['made_at', 'id'], name='transfer_by_time'),
        ),
    ]
