"""The audit trail of stewards' acts, whose rows never change, and the indexes of the console's lists."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from common.migrations import append_only


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='StewardAct',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('act', models.CharField(choices=[('QUARANTINE_NODE', 'Quarantine Node'), ('RELEASE_NODE', 'Release Node'), ('NAME_VALIDATOR', 'Name Validator'), ('END_VALIDATOR', 'End Validator'), ('INVITE', 'Invite'), ('REVOKE_INVITATION', 'Revoke Invitation'), ('SET_ROLES', 'Set Roles'), ('END_MEMBERSHIP', 'End Membership'), ('PROPOSE_POLICY', 'Propose Policy'), ('ADOPT_POLICY', 'Adopt Policy'), ('PROPOSE_CREDIT', 'Propose Credit'), ('ISSUE_CREDIT', 'Issue Credit'), ('REFUSE_CREDIT', 'Refuse Credit'), ('WITHDRAW_VERSION', 'Withdraw Version')], max_length=30)),
                ('subject_kind', models.CharField(max_length=30)),
                ('subject_id', models.BigIntegerField()),
                ('subject', models.CharField(max_length=200)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddIndex(
            model_name='creditissue',
            index=models.Index(fields=['cooperative', '-id'], name='creditissue_newest'),
        ),
        migrations.AddIndex(
            model_name='creditissue',
            index=models.Index(condition=models.Q(('state', 'PROPOSED')), fields=['cooperative', 'id'], name='creditissue_waiting'),
        ),
        migrations.AddIndex(
            model_name='invitation',
            index=models.Index(fields=['cooperative', '-id'], name='invitation_newest'),
        ),
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(fields=['cooperative', '-id'], name='membership_newest'),
        ),
        migrations.AddField(
            model_name='stewardact',
            name='by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.membership'),
        ),
        migrations.AddField(
            model_name='stewardact',
            name='cooperative',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='steward_acts', to='accounts.cooperative'),
        ),
        migrations.AddIndex(
            model_name='stewardact',
            index=models.Index(fields=['cooperative', '-id'], name='stewardact_newest'),
        ),
        migrations.AddIndex(
            model_name='stewardact',
            index=models.Index(fields=['cooperative', 'act', '-id'], name='stewardact_by_act'),
        ),
        migrations.AddIndex(
            model_name='stewardact',
            index=models.Index(fields=['subject_kind', 'subject_id', '-id'], name='stewardact_by_subject'),
        ),
        migrations.AddConstraint(
            model_name='stewardact',
            constraint=models.CheckConstraint(condition=models.Q(('before', models.F('after')), _negated=True), name='stewardact_changes_something'),
        ),
        append_only("accounts_stewardact"),
    ]
