from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("scheduler", "0004_jobs_by_day"),
    ]

    operations = [
        migrations.AddField(
            model_name="job",
            name="max_parallel",
            field=models.PositiveIntegerField(db_default=1),
        ),
        migrations.RunSQL(
            "UPDATE scheduler_job SET max_parallel = (spec->>'max_parallel')::int WHERE spec ? 'max_parallel'",
            migrations.RunSQL.noop,
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("claims__gt", 0), ("open_executions__gt", 0)), fields=["job"], name="task_tried"
            ),
        ),
    ]
