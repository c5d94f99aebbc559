"""The index behind the console's list of a cooperative's accounts."""

import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0002_books_defend_themselves'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='ledgeraccount',
            index=models.Index(django.db.models.functions.comparison.Collate('address', 'C'), models.F('asset'), name='ledgeraccount_by_address'),
        ),
    ]
