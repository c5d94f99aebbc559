import django.db.models.deletion
import django.db.models.functions.text
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_model_summary")]
    operations = [
        migrations.CreateModel(
            name="BlobContent",
            fields=[
                (
                    "blob",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="content",
                        serialize=False,
                        to="registry.blob",
                    ),
                ),
                ("data", models.BinaryField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=django.db.models.lookups.LessThanOrEqual(
                            django.db.models.functions.text.Length("data"), 65536
                        ),
                        name="blobcontent_is_small",
                    )
                ],
            },
        ),
    ]
