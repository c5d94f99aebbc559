"""Machines: who they are, what they proved they can do, and which state they are in."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Cooperative, Membership
from common import versions
from nodes.core import states

TIERS = ["EDGE", "COMMUNITY", "REGIONAL", "CLOUD"]


class Node(models.Model):
    """One machine, known by its Ed25519 key, offered in exactly one pool by one operator."""

    class State(models.TextChoices):
        """The life of a node; the allowed steps are in core/states.py."""

        JOINED = states.JOINED
        BENCHMARKED = states.BENCHMARKED
        PROBATION = states.PROBATION
        ACTIVE = states.ACTIVE
        DRAINING = states.DRAINING
        QUARANTINED = states.QUARANTINED
        RETIRED = states.RETIRED

    class Tier(models.TextChoices):
        """Where on the continuum from edge to cloud the node stands."""

        EDGE = "EDGE"
        COMMUNITY = "COMMUNITY"
        REGIONAL = "REGIONAL"
        CLOUD = "CLOUD"

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="nodes")
    operator = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=100)
    public_key = models.CharField(max_length=60, unique=True)
    state = models.CharField(max_length=12, choices=State, default=State.JOINED)
    state_reason = models.CharField(max_length=60, blank=True)
    tier = models.CharField(max_length=10, choices=Tier, default=Tier.COMMUNITY)
    zone = models.CharField(max_length=40, blank=True)
    is_validator = models.BooleanField(default=False)
    validated_in_a_row = models.PositiveIntegerField(default=0)
    """Validated results since the last rejection; ends probation."""
    floor_price_micro = models.PositiveBigIntegerField()
    """Least price per unit-hour, set by the owner; the node key cannot go below."""
    limit_lots = models.PositiveIntegerField(null=True, blank=True)
    """The operator's own limit on what is sold."""
    sellable_lots = models.PositiveIntegerField(default=0)
    """min(measured, cores, operator's limit) in whole lots of class cpu; 0 until benchmarked."""
    memory_mib = models.PositiveIntegerField(default=0)
    disk_mib = models.PositiveBigIntegerField(default=0)
    runners = models.JSONField(default=list)
    isolation = models.JSONField(default=list)
    agent_version = models.CharField(max_length=100, blank=True)
    joined_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(null=True, blank=True)
    reported_slots_free = models.PositiveIntegerField(default=0)
    reported_load_permille = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state__in=["PROBATION", "ACTIVE"]) | Q(sellable_lots__gt=0),
                name="node_works_only_with_measured_capacity",
            ),
            models.CheckConstraint(condition=Q(state__in=list(states.STEPS)), name="node_known_state"),
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="node_known_tier"),
            models.CheckConstraint(
                condition=Q(limit_lots__isnull=True) | Q(limit_lots__gt=0), name="node_limit_leaves_a_lot"
            ),
        ]
        indexes = [
            # a cooperative's fleet, by name
            models.Index(fields=["cooperative", "name", "id"], name="node_by_cooperative"),
            # the console's list of nodes, newest first
            models.Index(fields=["cooperative", "-id"], name="node_newest"),
            # what waits for a steward: the quarantined nodes
            models.Index(fields=["cooperative", "id"], condition=Q(state="QUARANTINED"), name="node_quarantined"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def version(self) -> str:
        """Changes with the owner's terms."""
        return versions.of(self.pk, self.floor_price_micro, self.limit_lots)


class NodeShare(models.Model):
    """A part of a node's earnings. Shares of a node sum to 10 000 basis points (checked by trigger)."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="shares")
    owner = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="node_shares")
    share_bp = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "owner"], name="nodeshare_one_per_owner"),
            models.CheckConstraint(condition=Q(share_bp__gt=0, share_bp__lte=10_000), name="nodeshare_in_range"),
        ]

    def __str__(self) -> str:
        return f"{self.share_bp} bp of {self.node}"


class JoinToken(models.Model):
    """Lets one machine join, once, on the terms its owner chose."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="join_tokens")
    digest = models.CharField(max_length=71, unique=True)
    node_name = models.CharField(max_length=100, blank=True)
    tier = models.CharField(max_length=10, choices=Node.Tier, default=Node.Tier.COMMUNITY)
    zone = models.CharField(max_length=40, blank=True)
    floor_price_micro = models.PositiveBigIntegerField()
    limit_lots = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    used_by = models.OneToOneField(Node, on_delete=models.PROTECT, null=True, related_name="join_token")
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(used_by__isnull=True, used_at__isnull=True)
                | Q(used_by__isnull=False, used_at__isnull=False),
                name="jointoken_use_is_whole",
            ),
            models.CheckConstraint(condition=Q(tier__in=TIERS), name="jointoken_known_tier"),
            models.CheckConstraint(
                condition=Q(limit_lots__isnull=True) | Q(limit_lots__gt=0), name="jointoken_limit_leaves_a_lot"
            ),
        ]

    def __str__(self) -> str:
        return f"join token {self.pk}"


class CapabilityStatement(models.Model):
    """A signed capability record as received. Append-only."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="capability_statements")
    claimed_record = models.JSONField()
    signature = models.CharField(max_length=86)
    digest = models.CharField(max_length=71)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "digest"], name="capabilitystatement_once"),
        ]
        # the latest statement of a node
        indexes = [models.Index(fields=["node", "-id"], name="capabilitystatement_latest")]

    def __str__(self) -> str:
        return f"capabilities of {self.node} at {self.received_at}"


class NodeEvent(models.Model):
    """A change of a node's state, or a word about it, with its typed reason. Append-only."""

    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="events")
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12)
    reason = models.CharField(max_length=60)
    detail = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey(Membership, on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(reason__regex=r"^[a-z][a-z0-9_]*$"), name="nodeevent_typed_reason"),
        ]
        # a node's story, newest first
        indexes = [models.Index(fields=["node", "-id"], name="nodeevent_by_node")]

    def __str__(self) -> str:
        return f"{self.node}: {self.from_state} to {self.to_state} ({self.reason})"
