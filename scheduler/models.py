"""Jobs, the tasks they are split into, each try of a task on a lease, and the timeline of reasons."""

import json

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now, Random

from accounts.models import Cooperative, Membership
from marketplace.models import Lease
from nodes.models import Node
from opengrid.messages import JobSpec
from registry.models import Blob, ModelVersion


class Job(models.Model):
    """What a member asked for, as validated. `spec` is the request itself (opengrid JobSpec)."""

    class State(models.TextChoices):
        """SUBMITTED waits for expansion, QUEUED for capacity, RUNNING has work out; the rest is final."""

        SUBMITTED = "SUBMITTED"
        QUEUED = "QUEUED"
        RUNNING = "RUNNING"
        DONE = "DONE"
        FAILED = "FAILED"
        CANCELLED = "CANCELLED"

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="jobs")
    submitter = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="jobs")
    idempotency_key = models.CharField(max_length=200, null=True, blank=True)
    name = models.CharField(max_length=100)
    runner = models.CharField(max_length=20)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="jobs")
    bundle = models.ForeignKey(Blob, on_delete=models.PROTECT, null=True, related_name="+")
    spec = models.JSONField()
    assurance = models.CharField(max_length=20)
    executions = models.PositiveSmallIntegerField()
    """Executions of each task that the member buys."""
    limit_price_micro = models.PositiveBigIntegerField()
    max_seconds = models.PositiveIntegerField()
    royalty_micro = models.PositiveBigIntegerField(default=0)
    """Royalty per accepted task, fixed at submission."""
    policy_number = models.PositiveIntegerField()
    """The cooperative's policy version the job is settled under."""
    max_parallel = models.PositiveIntegerField(db_default=1)
    """Most lots at once, as the request says; it stands here so that sweeps need not read whole requests."""
    tasks_total = models.PositiveIntegerField()
    held_micro = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.SUBMITTED)
    reason = models.CharField(max_length=60, blank=True)
    submitted_at = models.DateTimeField(db_default=Now())
    expanded_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    """The hold was given back and the leases ended."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["submitter", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="job_idempotency_key_once",
            ),
            models.CheckConstraint(
                condition=(Q(state__in=["DONE", "FAILED", "CANCELLED"], finished_at__isnull=False))
                | (Q(state__in=["SUBMITTED", "QUEUED", "RUNNING"], finished_at__isnull=True)),
                name="job_finish_is_whole",
            ),
        ]
        indexes = [
            # sweeps over unfinished jobs
            models.Index(fields=["state", "id"], condition=Q(closed_at__isnull=True), name="job_open"),
            # my jobs, newest first
            models.Index(fields=["submitter", "-id"], name="job_by_member"),
            # how many jobs came on a day
            models.Index(fields=["submitted_at"], name="job_by_day"),
            # a cooperative's jobs, newest first
            models.Index(fields=["cooperative", "-id"], name="job_by_cooperative"),
        ]

    def __str__(self) -> str:
        return f"job {self.pk} {self.name}"

    @property
    def reference(self) -> str:
        """How the market and the ledger call this job."""
        return f"job:{self.pk}"

    @property
    def request(self) -> JobSpec:
        """The request as it was validated."""
        return JobSpec.model_validate_json(json.dumps(self.spec))

    @property
    def hold_address(self) -> str:
        """Ledger sub-account of this job's hold."""
        return f"hold:job:{self.pk}"


class Task(models.Model):
    """One piece of a job. `open_executions` is how many tries may be handed out now."""

    class State(models.TextChoices):
        """OPEN until enough results agree or it cannot be saved."""

        OPEN = "OPEN"
        ACCEPTED = "ACCEPTED"
        FAILED = "FAILED"
        CANCELLED = "CANCELLED"

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="tasks")
    index = models.PositiveIntegerField()
    input = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    input_name = models.CharField(max_length=100)
    row_start = models.PositiveBigIntegerField(null=True)
    row_stop = models.PositiveBigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    reason = models.CharField(max_length=60, blank=True)
    wanted_results = models.PositiveSmallIntegerField()
    """Results by different owners that are needed before a verdict."""
    tie_breaks = models.PositiveSmallIntegerField(default=0)
    open_executions = models.PositiveSmallIntegerField()
    bought_left = models.PositiveSmallIntegerField()
    """Of those, how many the member still pays for; the rest is the assurance fund's."""
    claims = models.PositiveIntegerField(default=0)
    """Counted at the claim, so that a task that kills its node runs out of them."""
    max_claims = models.PositiveIntegerField()
    draw = models.FloatField(db_default=Random())
    accepted_attempt = models.ForeignKey("Attempt", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "index"], name="task_index_once"),
            models.CheckConstraint(condition=Q(claims__lte=F("max_claims")), name="task_claims_bounded"),
            models.CheckConstraint(
                condition=Q(state="OPEN") | Q(open_executions=0), name="task_finished_hands_out_nothing"
            ),
            models.CheckConstraint(
                condition=Q(state="ACCEPTED", accepted_attempt__isnull=False)
                | (~Q(state="ACCEPTED") & Q(accepted_attempt__isnull=True)),
                name="task_accepted_names_its_result",
            ),
        ]
        indexes = [
            # a claim: tasks of a job from a random point
            models.Index(fields=["job", "draw"], condition=Q(open_executions__gt=0), name="task_claimable"),
            # tasks that somebody had and that are to be handed out again
            models.Index(fields=["job"], condition=Q(open_executions__gt=0, claims__gt=0), name="task_tried"),
            # whether a job has a task that has not ended
            models.Index(fields=["job"], condition=Q(state="OPEN"), name="task_open"),
        ]

    def __str__(self) -> str:
        return f"task {self.index} of job {self.job_id}"


class Attempt(models.Model):
    """One try of a task on a lease, under a fencing token."""

    class State(models.TextChoices):
        """RUNNING on a node, SUBMITTED waits for its verdict; the rest is final."""

        RUNNING = "RUNNING"
        SUBMITTED = "SUBMITTED"
        ACCEPTED = "ACCEPTED"
        REJECTED = "REJECTED"
        FAILED = "FAILED"
        LOST = "LOST"
        CANCELLED = "CANCELLED"

    class Purpose(models.TextChoices):
        """Who pays: BOUGHT by the member, OWN (the submitter's own node) nobody, the others by the assurance fund."""

        BOUGHT = "BOUGHT"
        OWN = "OWN"
        PROBATION = "PROBATION"
        TIE_BREAK = "TIE_BREAK"

    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="attempts")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, null=True, blank=True, related_name="attempts")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="attempts")
    owner_key = models.CharField(max_length=40)
    token = models.PositiveBigIntegerField()
    """The task's claim count at the claim; checked in the statement that accepts or pays."""
    purpose = models.CharField(max_length=10, choices=Purpose)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    reason = models.CharField(max_length=60, blank=True)
    detail = models.CharField(max_length=2000, blank=True)
    price_micro = models.PositiveBigIntegerField()
    """Per unit-hour, the lease's."""
    lot_milli = models.PositiveIntegerField()
    claimed_at = models.DateTimeField(db_default=Now())
    deadline_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_default=Now())
    progress_permille = models.PositiveSmallIntegerField(default=0)
    reported_log_tail = models.CharField(max_length=2000, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    metered_ms = models.PositiveBigIntegerField(null=True, blank=True)
    """Server clock from claim to result, capped by the job's max_seconds."""
    billed_ms = models.PositiveBigIntegerField(null=True, blank=True)
    billed_micro = models.PositiveBigIntegerField(null=True, blank=True)
    result_digest = models.CharField(max_length=71, blank=True)
    receipt = models.JSONField(null=True, blank=True)
    receipt_signature = models.CharField(max_length=86, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "token"], name="attempt_token_once"),
            models.UniqueConstraint(
                fields=["task", "owner_key"],
                condition=Q(state__in=["RUNNING", "SUBMITTED", "ACCEPTED", "REJECTED"]),
                name="attempt_one_per_owner",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["SUBMITTED", "ACCEPTED", "REJECTED"])
                | Q(submitted_at__isnull=False, metered_ms__isnull=False, receipt__isnull=False) & ~Q(result_digest=""),
                name="attempt_result_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(billed_micro__isnull=True) | Q(state="ACCEPTED"), name="attempt_only_accepted_is_billed"
            ),
            models.CheckConstraint(
                condition=Q(purpose="OWN", lease__isnull=True, price_micro=0)
                | ~Q(purpose="OWN") & Q(lease__isnull=False),
                name="attempt_own_needs_no_lease",
            ),
        ]
        indexes = [
            # reaping, and a node's running work
            models.Index(fields=["node", "beat_at"], condition=Q(state="RUNNING"), name="attempt_running"),
            # slots in use on a lease
            models.Index(fields=["lease"], condition=Q(state="RUNNING"), name="attempt_slots"),
            # results waiting for a verdict
            models.Index(fields=["task"], condition=Q(state="SUBMITTED"), name="attempt_submitted"),
            # a node's history, newest first
            models.Index(fields=["node", "-id"], name="attempt_by_node"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.token} of task {self.task_id}"


class AttemptOutput(models.Model):
    """A file an attempt produced."""

    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="outputs")
    name = models.CharField(max_length=100)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["attempt", "name"], name="attemptoutput_once")]

    def __str__(self) -> str:
        return self.name


class JobEvent(models.Model):
    """One step in a job's life with its typed reason. Append-only."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="events")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, null=True, related_name="events")
    reason = models.CharField(max_length=60)
    params = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        # a job's timeline
        indexes = [models.Index(fields=["job", "id"], name="jobevent_timeline")]

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.reason}"
