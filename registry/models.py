"""AI models: content-addressed files, signed versions, their publishers' keys."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Now
from django.db.models.lookups import LessThanOrEqual

from accounts.models import Cooperative, Membership
from common import versions
from opengrid.messages import SMALL_FILE_BYTES


class Blob(models.Model):
    """A stored file known by its digest; the bytes lie in the blob store on disk, or in BlobContent."""

    digest = models.CharField(max_length=71, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    stored_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(digest__regex=r"^sha256:[0-9a-f]{64}$"), name="blob_digest_form"),
        ]

    def __str__(self) -> str:
        return self.digest


class BlobContent(models.Model):
    """The bytes of a small file that came in a message: durable with its row, without a file of its own."""

    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, primary_key=True, related_name="content")
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=LessThanOrEqual(Length("data"), SMALL_FILE_BYTES), name="blobcontent_is_small"
            ),
        ]

    def __str__(self) -> str:
        return f"content of {self.blob_id}"


class BlobGrant(models.Model):
    """A member who uploaded a blob may use it in jobs and models."""

    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="grants")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="+")
    granted_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "membership"], name="blobgrant_once")]

    def __str__(self) -> str:
        return f"{self.membership} may use {self.blob}"


class PublisherKey(models.Model):
    """A publisher's Ed25519 key, registered by the member who holds it."""

    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="publisher_keys")
    public_key = models.CharField(max_length=60, unique=True)
    registered_at = models.DateTimeField(db_default=Now())
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.public_key


class Model(models.Model):
    """A named AI model of a cooperative."""

    cooperative = models.ForeignKey(Cooperative, on_delete=models.PROTECT, related_name="ai_models")
    publisher = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="ai_models")
    name = models.CharField(max_length=63)
    summary = models.CharField(max_length=300, blank=True, default="", db_default="")
    """What it does, in the publisher's words. Not part of what is signed; may change."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cooperative", "name"], name="model_name_once"),
            models.CheckConstraint(condition=Q(name__regex=r"^[a-z0-9][a-z0-9._-]{0,62}$"), name="model_name_form"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def words_version(self) -> str:
        """Changes with what the publisher says of it."""
        return versions.of("model", self.pk, self.summary)


class ModelVersion(models.Model):
    """A signed version: the canonical manifest text is what the publisher signed."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    version = models.CharField(max_length=60)
    manifest = models.TextField()
    """Canonical JSON, byte for byte as it was signed."""
    manifest_digest = models.CharField(max_length=71, unique=True)
    signature = models.CharField(max_length=86)
    publisher_key = models.ForeignKey(PublisherKey, on_delete=models.PROTECT, related_name="versions")
    royalty_micro = models.PositiveBigIntegerField(default=0)
    """Royalty per accepted task."""
    published_at = models.DateTimeField(db_default=Now())
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "version"], name="modelversion_once")]

    def __str__(self) -> str:
        return f"{self.model} {self.version}"


class ModelFile(models.Model):
    """One file of a version, by name."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="files")
    name = models.CharField(max_length=100)
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "name"], name="modelfile_name_once")]

    def __str__(self) -> str:
        return self.name
