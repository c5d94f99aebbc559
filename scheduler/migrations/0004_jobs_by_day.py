"""An index for the number of jobs of a day."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_scopes_and_kept_replies'),
        ('registry', '0003_small_files_in_the_table'),
        ('scheduler', '0003_open_tasks_of_a_job'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['submitted_at'], name='job_by_day'),
        ),
    ]
