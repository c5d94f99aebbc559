"""What members send and see of files and models."""

from typing import Annotated

from pydantic import Field, StringConstraints
from rest_framework.renderers import JSONRenderer

from common.paging import PageQuery, YesOrNo
from opengrid.messages import Digest, Message, Natural, Positive, PublicKey, Signature, timestamp
from registry import queries
from registry.models import Model, ModelVersion, PublisherKey

OCTETS = "application/octet-stream"


class OctetRenderer(JSONRenderer):
    """Lets clients ask for octets alone; refusals are JSON problems all the same."""

    media_type = OCTETS
    format = "octets"


class BlobReply(Message):
    """A stored file."""

    digest: Digest
    size_bytes: Natural


class PublisherKeyRequest(Message):
    """A key and the proof of holding it: its signature of {membership_id, public_key}."""

    public_key: PublicKey
    proof: Signature


class PublisherKeyView(Message):
    """A key this member publishes with."""

    public_key: PublicKey
    registered_at: str
    revoked_at: str | None


class PublisherKeysQuery(PageQuery):
    """Which of the asker's keys."""

    revoked: YesOrNo | None = Field(None, description="Only the revoked ones, or only those in use.")


class PublisherKeysReply(Message):
    """The member's keys, newest first, and the membership id that a proof for a new one must name."""

    membership_id: Positive
    context: str
    keys: list[PublisherKeyView]
    next: str | None


class PublishRequest(Message):
    """A model manifest in its canonical text and the publisher's signature over it."""

    manifest: Annotated[str, StringConstraints(min_length=2)]
    signature: Signature


class VersionSummary(Message):
    """A version in a list. The royalty is micro-credits per accepted task."""

    id: Positive
    version: str
    royalty_micro: Natural
    published_at: str
    withdrawn_at: str | None


class ModelView(Message):
    """A model and its versions, newest first."""

    id: Positive
    name: str
    publisher: str
    versions: list[VersionSummary]


class ModelsQuery(PageQuery):
    """Which models of the cooperative."""

    search: Annotated[str, StringConstraints(max_length=100)] = Field("", description="Part of the name.")
    own: YesOrNo | None = Field(None, description="Only one's own, or only those of others.")


class ModelListReply(Message):
    """A cooperative's models, newest first."""

    models: list[ModelView]
    next: str | None


class VersionReply(Message):
    """A version: the manifest as signed, whoever signed it, and what it costs."""

    id: Positive
    model: str
    publisher: str
    version: str
    manifest: str
    manifest_digest: Digest
    signature: Signature
    publisher_key: PublicKey
    royalty_micro: Natural
    published_at: str
    withdrawn_at: str | None


def key_view(key: PublisherKey) -> PublisherKeyView:
    """One key."""
    return PublisherKeyView(
        public_key=key.public_key,
        registered_at=timestamp(key.registered_at),
        revoked_at=timestamp(key.revoked_at) if key.revoked_at else None,
    )


def model_view(model: Model) -> ModelView:
    """One model of `queries.models_matching`."""
    return ModelView(
        id=model.pk,
        name=model.name,
        publisher=str(model.publisher.user),
        versions=[
            VersionSummary(
                id=version.pk,
                version=version.version,
                royalty_micro=version.royalty_micro,
                published_at=timestamp(version.published_at),
                withdrawn_at=timestamp(version.withdrawn_at) if version.withdrawn_at else None,
            )
            for version in model.versions.all()
        ],
    )


def version_reply(version: ModelVersion) -> VersionReply:
    """One version of `queries.version_of`."""
    ref = queries.model_ref(version)
    return VersionReply(
        id=version.pk,
        model=version.model.name,
        publisher=str(version.model.publisher.user),
        version=version.version,
        manifest=ref.manifest,
        manifest_digest=version.manifest_digest,
        signature=ref.signature,
        publisher_key=ref.publisher_key,
        royalty_micro=version.royalty_micro,
        published_at=timestamp(version.published_at),
        withdrawn_at=timestamp(version.withdrawn_at) if version.withdrawn_at else None,
    )
