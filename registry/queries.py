"""What is stored and published: blobs a member may use, models and their versions."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet

from accounts.models import Membership
from common.errors import Conflict, NotFound
from common.words import said as _
from opengrid import manifest as manifests
from opengrid import messages
from registry.models import Blob, BlobGrant, Model, ModelVersion, PublisherKey


class VersionWithdrawn(Conflict):
    """The publisher has withdrawn this version; new jobs cannot use it."""

    code = "version_withdrawn"
    title = _("This model version has been withdrawn")


class PublisherKeyRevoked(Conflict):
    """The key that signed this version is no longer trusted."""

    code = "publisher_key_revoked"
    title = _("The key that signed this version has been revoked")


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version with its parsed manifest."""

    version: ModelVersion
    manifest: manifests.Manifest


def usable_blob(membership: Membership, digest: str) -> Blob:
    """The blob, when the member has a grant for it. Raises: NotFound, also where others have one."""
    return usable_blobs(membership, [digest])[digest]


def usable_blobs(membership: Membership, digests: Sequence[str]) -> dict[str, Blob]:
    """The blobs by digest, when the member has a grant for each. One query. Raises: NotFound for the first without."""
    found = {blob.digest: blob for blob in Blob.objects.filter(digest__in=digests, grants__membership=membership)}
    for digest in digests:
        if digest not in found:
            raise NotFound(_("you have no file %(digest)s; upload it first", digest=digest[:71]))
    return found


def has_grant(membership: Membership, digest: str) -> bool:
    """Whether the member may already use the blob."""
    return BlobGrant.objects.filter(membership=membership, blob__digest=digest).exists()


def publisher_keys_of(membership: Membership) -> QuerySet[PublisherKey]:
    """The member's keys, revoked ones included, oldest first."""
    return PublisherKey.objects.filter(membership=membership).order_by("id")


def keys_matching(membership: Membership, *, is_revoked: bool | None = None) -> QuerySet[PublisherKey]:
    """The member's keys: those in use, the revoked ones, or all of them."""
    found = publisher_keys_of(membership)
    return found if is_revoked is None else found.filter(revoked_at__isnull=not is_revoked)


def models_matching(
    cooperative_id: int, *, search: str = "", publisher_id: int | None = None, is_publishers: bool | None = None
) -> QuerySet[Model]:
    """A cooperative's models whose name contains `search`, and `publisher_id`'s own or only the others.

    Versions (newest first) and publishers are loaded.
    """
    found = Model.objects.filter(cooperative_id=cooperative_id)
    if search:
        found = found.filter(name__icontains=search)
    if is_publishers is not None:
        found = found.filter(publisher_id=publisher_id) if is_publishers else found.exclude(publisher_id=publisher_id)
    versions = ModelVersion.objects.select_related("publisher_key").order_by("-id")
    return (
        found.select_related("publisher__user").prefetch_related(Prefetch("versions", versions)).order_by("name", "id")
    )


def version_of(cooperative_id: int, version_id: int) -> ModelVersion:
    """A version published in this cooperative, withdrawn or not. Raises: NotFound."""
    version = (
        ModelVersion.objects.filter(pk=version_id, model__cooperative_id=cooperative_id)
        .select_related("model__publisher__user", "publisher_key")
        .prefetch_related("files__blob")
        .first()
    )
    if version is None:
        raise NotFound(_("this cooperative has no model version %(version_id)s", version_id=version_id))
    return version


def runnable_version(cooperative_id: int, version_id: int) -> ModelVersion:
    """A version that new jobs may use. Raises: NotFound, VersionWithdrawn, PublisherKeyRevoked."""
    version = version_of(cooperative_id, version_id)
    if version.withdrawn_at is not None:
        raise VersionWithdrawn(_("%(version)s was withdrawn; choose another version", version=version))
    if version.publisher_key.revoked_at is not None:
        raise PublisherKeyRevoked(_("%(version)s has to be published anew with another key", version=version))
    return version


def version_by_manifest(cooperative_id: int, manifest_digest: str) -> ModelVersion | None:
    """The version whose manifest has this digest, if it was published here."""
    return (
        ModelVersion.objects.filter(manifest_digest=manifest_digest, model__cooperative_id=cooperative_id)
        .select_related("model__publisher__user", "publisher_key")
        .first()
    )


def manifest_of(version: ModelVersion) -> manifests.Manifest:
    """The manifest of a published version, parsed."""
    return manifests.parse_manifest(version.manifest)


def model_ref(version: ModelVersion) -> messages.ModelRef:
    """What a node is given: the text as signed, so that it can check everything itself."""
    return messages.ModelRef(
        version_id=version.pk,
        manifest=version.manifest,
        signature=version.signature,
        publisher_key=version.publisher_key.public_key,
    )
