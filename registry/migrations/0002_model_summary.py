from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="model",
            name="summary",
            field=models.CharField(blank=True, db_default="", default="", max_length=300),
        ),
    ]
