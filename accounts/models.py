"""People, cooperatives, who belongs to which in which role, and the rules a cooperative adopted."""

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from accounts.core import roles
from common import money, versions


class Role(models.TextChoices):
    """What a membership allows; the table of permissions is in core/roles.py."""

    MEMBER = roles.MEMBER
    OPERATOR = roles.OPERATOR
    STEWARD = roles.STEWARD
    AUDITOR = roles.AUDITOR


class People(BaseUserManager["User"]):
    """Creates users, who are known by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """A person with this address, in lower case; without a password nobody can sign in by one."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """What `manage.py createsuperuser` makes."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A person. `username` is not used; the e-mail address is the login."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    display_name = models.CharField(max_length=100, blank=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[People] = People()  # type: ignore[assignment]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_once")]

    def __str__(self) -> str:
        return self.display_name or self.email


class Cooperative(models.Model):
    """A community with members, nodes, models, a treasury and a rule book."""

    name = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    founded_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person in one cooperative, with one or more roles."""

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    roles = ArrayField(models.CharField(max_length=10, choices=Role))
    joined_at = models.DateTimeField(db_default=Now())
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cooperative", "user"], name="membership_one_per_person"),
            models.CheckConstraint(
                condition=Q(roles__contained_by=roles.ALL) & Q(roles__len__gt=0),
                name="membership_known_roles",
            ),
        ]
        # the console's list of members, newest first
        indexes = [models.Index(fields=["cooperative", "-id"], name="membership_newest")]

    def __str__(self) -> str:
        return f"{self.user} in {self.cooperative}"

    @property
    def wallet(self) -> str:
        """Ledger address of this member's credits."""
        return f"coop:{self.cooperative_id}:member:{self.pk}"

    @property
    def version(self) -> str:
        """Changes with the roles and with the end of the membership."""
        return versions.of(self.pk, *self.roles, str(self.left_at))


class Invitation(models.Model):
    """A link that makes its bearer a member, once."""

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="invitations")
    roles = ArrayField(models.CharField(max_length=10, choices=Role))
    email = models.EmailField(blank=True)
    token_digest = models.CharField(max_length=71, unique=True)
    invited_by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, related_name="invitations")
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_by__isnull=True, accepted_at__isnull=True)
                | Q(accepted_by__isnull=False, accepted_at__isnull=False),
                name="invitation_acceptance_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True) | Q(revoked_at__isnull=True),
                name="invitation_accepted_or_revoked",
            ),
        ]
        # the console's list of invitations, newest first
        indexes = [models.Index(fields=["cooperative", "-id"], name="invitation_newest")]

    def __str__(self) -> str:
        return f"invitation {self.pk} to {self.cooperative}"


class JoinRequest(models.Model):
    """A person's wish to become a member, and what became of it. `reason` is a steward's words on declining."""

    class State(models.TextChoices):
        """WAITING for a steward; the rest is final, and after it the person may ask again."""

        WAITING = "WAITING"
        ACCEPTED = "ACCEPTED"
        DECLINED = "DECLINED"
        WITHDRAWN = "WITHDRAWN"

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="join_requests")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="join_requests")
    message = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(max_length=500, blank=True)
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cooperative", "user"], condition=Q(state="WAITING"), name="joinrequest_one_waits"
            ),
            models.CheckConstraint(
                condition=Q(state="WAITING", decided_at__isnull=True)
                | (~Q(state="WAITING") & Q(decided_at__isnull=False)),
                name="joinrequest_decision_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["ACCEPTED", "DECLINED"], decided_by__isnull=False)
                | Q(state__in=["WAITING", "WITHDRAWN"], decided_by__isnull=True),
                name="joinrequest_stewards_decide",
            ),
        ]
        indexes = [
            # what waits for a steward, oldest first
            models.Index(fields=["cooperative", "id"], condition=Q(state="WAITING"), name="joinrequest_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.user} asks to join {self.cooperative}"


class SetupLink(models.Model):
    """The link that makes the first steward while the platform has no cooperative. At most one row."""

    only = models.BooleanField(default=True, unique=True, editable=False)
    token_digest = models.CharField(max_length=71)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(only=True), name="setuplink_only_one")]

    def __str__(self) -> str:
        return f"setup link until {self.expires_at:%Y-%m-%d %H:%M}"


class ApiToken(models.Model):
    """A member's key for programs. Only its digest is kept; scopes limit what it may do."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=71, unique=True)
    scopes = ArrayField(models.CharField(max_length=20))
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=roles.SCOPES) & Q(scopes__len__gt=0), name="apitoken_known_scopes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"


class KeptReply(models.Model):
    """The answer to a request that came with an idempotency key, sealed. Deleted after a day."""

    key_digest = models.CharField(max_length=71, unique=True)
    fingerprint = models.CharField(max_length=71)
    status = models.PositiveSmallIntegerField()
    sealed = models.BinaryField()
    kept_at = models.DateTimeField()

    class Meta:
        # the timer that forgets
        indexes = [models.Index(fields=["kept_at", "id"], name="keptreply_oldest")]

    def __str__(self) -> str:
        return f"answer {self.status} kept at {self.kept_at}"


class PolicyVersion(models.Model):
    """One version of a cooperative's rule book as proposed. Append-only."""

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="policy_versions")
    number = models.PositiveIntegerField()
    replaces = models.PositiveIntegerField()
    """Number of the version that was the rule when this one was proposed; 0 for the first."""
    rules = models.JSONField()
    reason = models.CharField(max_length=500)
    proposed_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cooperative", "number"], name="policyversion_number_once"),
            models.CheckConstraint(condition=Q(number__gt=F("replaces")), name="policyversion_replaces_an_older"),
        ]

    def __str__(self) -> str:
        return f"policy {self.number} of {self.cooperative}"


class PolicyAdoption(models.Model):
    """A second steward made a version the rule. Append-only; version 1 is the founder's alone."""

    version = models.OneToOneField(PolicyVersion, on_delete=models.PROTECT, related_name="adoption")
    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    replaces = models.PositiveIntegerField()
    proposed_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    adopted_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    adopted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cooperative", "replaces"], name="policyadoption_one_successor"),
            models.CheckConstraint(
                condition=Q(number=1) | ~Q(proposed_by=F("adopted_by")),
                name="policyadoption_by_a_second_steward",
            ),
        ]

    def __str__(self) -> str:
        return f"adoption of {self.version}"


class CreditIssue(models.Model):
    """A steward's wish to issue credit, and what became of it."""

    class State(models.TextChoices):
        """PROPOSED waits for a second steward; ISSUED has its transfer."""

        PROPOSED = "PROPOSED"
        ISSUED = "ISSUED"
        REFUSED = "REFUSED"

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="credit_issues")
    to_address = models.CharField(max_length=100)
    amount_micro = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    needs_second_steward = models.BooleanField()
    proposed_by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_micro__gt=0), name="creditissue_positive"),
            models.CheckConstraint(
                condition=~Q(state="ISSUED") | Q(needs_second_steward=False) | ~Q(decided_by=F("proposed_by")),
                name="creditissue_second_steward_decides",
            ),
            models.CheckConstraint(
                condition=Q(state="PROPOSED", decided_by__isnull=True, decided_at__isnull=True)
                | (~Q(state="PROPOSED") & Q(decided_by__isnull=False, decided_at__isnull=False)),
                name="creditissue_decision_is_whole",
            ),
        ]
        indexes = [
            # the console's list of issues, newest first
            models.Index(fields=["cooperative", "-id"], name="creditissue_newest"),
            # what waits for a second steward
            models.Index(fields=["cooperative", "id"], condition=Q(state="PROPOSED"), name="creditissue_waiting"),
        ]

    def __str__(self) -> str:
        return f"{money.format_credits(self.amount_micro, 2)} credits to {self.to_address}"


class StewardAct(models.Model):
    """What a steward did for the cooperative, written in the transaction that did it. Append-only."""

    class Act(models.TextChoices):
        """The acts that leave a row."""

        QUARANTINE_NODE = "QUARANTINE_NODE"
        RELEASE_NODE = "RELEASE_NODE"
        NAME_VALIDATOR = "NAME_VALIDATOR"
        END_VALIDATOR = "END_VALIDATOR"
        INVITE = "INVITE"
        REVOKE_INVITATION = "REVOKE_INVITATION"
        SET_ROLES = "SET_ROLES"
        END_MEMBERSHIP = "END_MEMBERSHIP"
        PROPOSE_POLICY = "PROPOSE_POLICY"
        ADOPT_POLICY = "ADOPT_POLICY"
        PROPOSE_CREDIT = "PROPOSE_CREDIT"
        ISSUE_CREDIT = "ISSUE_CREDIT"
        REFUSE_CREDIT = "REFUSE_CREDIT"
        WITHDRAW_VERSION = "WITHDRAW_VERSION"
        ACCEPT_JOIN_REQUEST = "ACCEPT_JOIN_REQUEST"
        DECLINE_JOIN_REQUEST = "DECLINE_JOIN_REQUEST"

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="steward_acts", db_index=False)
    by = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="+")
    act = models.CharField(max_length=30, choices=Act)
    subject_kind = models.CharField(max_length=30)
    """The model of what it was done to, such as "node"."""
    subject_id = models.BigIntegerField()
    subject = models.CharField(max_length=200)
    """What it was called at the time."""
    reason = models.CharField(max_length=500, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(before=F("after")), name="stewardact_changes_something")]
        indexes = [
            # the acts in a cooperative, newest first; of one kind; about one thing
            models.Index(fields=["cooperative", "-id"], name="stewardact_newest"),
            models.Index(fields=["cooperative", "act", "-id"], name="stewardact_by_act"),
            models.Index(fields=["subject_kind", "subject_id", "-id"], name="stewardact_by_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject}"
