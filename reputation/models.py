"""Evidence about participants, the scores it adds up to, and what each contributed."""

from django.db import models
from django.db.models import Q

from accounts.models import Membership
from nodes.models import Node
from opengrid import score
from reputation.core.evidence import EARLIEST_AT


class Dimension(models.TextChoices):
    """What a piece of evidence speaks about."""

    CORRECTNESS = score.Dimension.CORRECTNESS.value
    DELIVERY = score.Dimension.DELIVERY.value
    UPTIME = score.Dimension.UPTIME.value


class Evidence(models.Model):
    """One recorded fact about a node. Append-only; `reference` makes recording idempotent."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="evidence")
    dimension = models.CharField(max_length=12, choices=Dimension)
    success = models.BooleanField()
    weight_milli = models.PositiveIntegerField(default=1000)
    reason = models.CharField(max_length=60)
    reference = models.CharField(max_length=100)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reference", "dimension"], name="evidence_recorded_once"),
            models.CheckConstraint(
                condition=Q(weight_milli__gt=0, weight_milli__lte=score.MAX_WEIGHT_MILLI), name="evidence_has_weight"
            ),
            models.CheckConstraint(condition=Q(at__gte=EARLIEST_AT), name="evidence_can_be_scored"),
        ]
        # score of a node, newest first
        indexes = [models.Index(fields=["node", "dimension", "at"], name="evidence_by_node")]

    def __str__(self) -> str:
        return f"{self.dimension} {'+' if self.success else '-'} {self.reference}"


class PendingEvidence(models.Model):
    """Evidence that no tally holds yet. Its row goes in the transaction that adds it to its node's score."""

    evidence = models.OneToOneField(Evidence, on_delete=models.PROTECT, primary_key=True, related_name="pending")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return f"evidence {self.evidence_id} is not in a score yet"


class Score(models.Model):
    """What the evidence adds up to: the latest computed score in millionths, and the sums it came from."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="scores")
    dimension = models.CharField(max_length=12, choices=Dimension)
    score_micro = models.PositiveIntegerField()
    computed_at = models.DateTimeField()
    successes = models.DecimalField(max_digits=500, decimal_places=0, default=0)
    failures = models.DecimalField(max_digits=500, decimal_places=0, default=0)
    """The tally of `opengrid.score`, in its units: integers of some 50 digits that never age."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "dimension"], name="score_one_per_dimension"),
            models.CheckConstraint(condition=Q(score_micro__lte=1_000_000), name="score_at_most_one"),
            models.CheckConstraint(condition=Q(successes__gte=0, failures__gte=0), name="score_counts_up"),
        ]

    def __str__(self) -> str:
        return f"{self.dimension} of {self.node}: {self.score_micro}"


class Contribution(models.Model):
    """Verified work a member brought in, in milli-unit-milliseconds or tasks. Append-only."""

    class Kind(models.TextChoices):
        """What was contributed."""

        COMPUTE = "COMPUTE"
        MODEL = "MODEL"

    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="contributions")
    node = models.ForeignKey(Node, on_delete=models.PROTECT, null=True, blank=True, related_name="contributions")
    kind = models.CharField(max_length=10, choices=Kind)
    quantity = models.PositiveBigIntegerField()
    """COMPUTE: unit-milliseconds of verified work. MODEL: accepted tasks."""
    earned_micro = models.PositiveBigIntegerField()
    reference = models.CharField(max_length=100, unique=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [
            # contributions of a member over a period
            models.Index(fields=["membership", "at"], name="contribution_by_member"),
            # earnings of a node over a period
            models.Index(fields=["node", "at"], condition=Q(node__isnull=False), name="contribution_by_node"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.membership}"
