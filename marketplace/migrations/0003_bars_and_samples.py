"""Prices by the minute, filled from the trades so far, and samples of how much of a pool is in use."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0002_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='PoolSample',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('nodes', models.PositiveIntegerField()),
                ('lots', models.PositiveIntegerField()),
                ('sold_lots', models.PositiveIntegerField()),
                ('pool', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='samples', to='marketplace.pool')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('pool', 'at'), name='poolsample_once')],
            },
        ),
        migrations.CreateModel(
            name='PriceBar',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('minute_at', models.DateTimeField()),
                ('first_micro', models.PositiveBigIntegerField()),
                ('high_micro', models.PositiveBigIntegerField()),
                ('low_micro', models.PositiveBigIntegerField()),
                ('last_micro', models.PositiveBigIntegerField()),
                ('lots', models.PositiveBigIntegerField()),
                ('trades', models.PositiveBigIntegerField()),
                ('book', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='bars', to='marketplace.book')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('book', 'minute_at'), name='pricebar_once')],
            },
        ),
        migrations.RunSQL(
            """
            INSERT INTO marketplace_pricebar
                   (book_id, minute_at, first_micro, high_micro, low_micro, last_micro, lots, trades)
            SELECT book_id, date_trunc('minute', at), (array_agg(price_micro ORDER BY id))[1], max(price_micro),
                   min(price_micro), (array_agg(price_micro ORDER BY id DESC))[1], sum(lots), count(*)
            FROM marketplace_trade
            WHERE at > now() - interval '31 days'
            GROUP BY book_id, date_trunc('minute', at)
            """,
            migrations.RunSQL.noop,
        ),
    ]
