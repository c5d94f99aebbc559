"""Publishing a model version: the publisher's signature, the files, and nothing twice."""

from datetime import datetime

from django.db import transaction

from accounts import services as accounts
from accounts.models import Membership, StewardAct
from common import locks, versions
from common.errors import Conflict, Forbidden, Invalid, NotFound
from common.words import said as _
from opengrid import digests, keys
from opengrid import manifest as manifests
from registry import queries
from registry.models import Blob, Model, ModelFile, ModelVersion, PublisherKey
from registry.services import files

SUMMARY_LETTERS = 300


class ManifestRefused(Invalid):
    """The manifest's text or signature is not acceptable; `code` is opengrid's reason."""

    title = _("The manifest cannot be accepted")

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class PublisherKeyUnknown(Invalid):
    """The manifest's key is not one that this member registered, or it was revoked."""

    code = "publisher_key_unknown"
    title = _("The manifest names a key that you have not registered")


class FilesMissing(Invalid):
    """Files of the manifest were not uploaded by this member, or have another size."""

    code = "model_files_missing"
    title = _("Files of the manifest have not been uploaded")


class ModelNameTaken(Conflict):
    """Another member publishes under this name."""

    code = "model_name_taken"
    title = _("Another member publishes a model of this name")


class VersionExists(Conflict):
    """The version exists with another content; versions never change."""

    code = "version_exists"
    title = _("This version has been published already")


class SummaryTooLong(Invalid):
    """The words about a model are more than its card holds."""

    code = "summary_too_long"
    title = _("The summary is too long")


class NotYourModel(Forbidden):
    """Only the publisher may do this."""

    code = "not_your_model"
    title = _("Only the publisher may do this")


def publish_version(
    *, membership: Membership, manifest: str, signature: str, now: datetime, summary: str = ""
) -> ModelVersion:
    """Publish what the manifest (canonical text, signed) describes; the same text again returns it.

    `summary` says what the model does, in at most SUMMARY_LETTERS; empty leaves what it says.
    1. The signer registered the key. 2. The signature covers the text. 3. All files are stored,
    granted and really what they claim. 4. Name and version are free.
    Raises: accounts.NotAllowed, ManifestRefused, PublisherKeyUnknown, FilesMissing, SummaryTooLong,
    files.FileRefused, ModelNameTaken, VersionExists, queries.VersionWithdrawn.
    """
    accounts.require(membership, "models.publish")
    summary = _summary(summary)
    key, checked = _verify(membership, manifest, signature)
    digest = digests.of_bytes(manifest.encode())
    stored = _stored_files(membership, checked)
    known = _published_before(membership, digest)
    if known is not None:
        return known
    files.check_files(checked)
    return _write(membership, key, checked, manifest, signature, digest, stored, now, summary)


@transaction.atomic
def describe_model(*, by: Membership, model: Model, summary: str, version: str | None = None) -> Model:
    """Say anew what a model does; with `version`, only if nobody has since.

    Raises: NotFound for another cooperative, NotYourModel, SummaryTooLong, versions.ChangedMeanwhile.
    """
    summary = _summary(summary)
    model = Model.objects.select_for_update(no_key=True).get(pk=model.pk)
    if model.cooperative_id != by.cooperative_id or by.left_at is not None:
        raise NotFound(_("this cooperative has no model %(model)s", model=model.pk))
    if model.publisher_id != by.pk:
        raise NotYourModel(_("the model belongs to another publisher"))
    versions.check(version, model.words_version)
    model.summary = summary
    model.save(update_fields=["summary"])
    return model


@transaction.atomic
def withdraw_version(*, by: Membership, version: ModelVersion, now: datetime) -> ModelVersion:
    """Take a version out of use for new jobs; what was done with it stays readable.

    Raises: NotFound for another cooperative, NotYourModel.
    """
    version = _locked(by, version)
    if version.model.publisher_id != by.pk:
        raise NotYourModel(_("the version belongs to another publisher"))
    if version.withdrawn_at is None:
        _withdraw(version, now)
    return version


@transaction.atomic
def withdraw_version_for_cooperative(
    *, by: Membership, version: ModelVersion, reason: str, now: datetime
) -> ModelVersion:
    """As `withdraw_version`, by a steward and for a reason that its publisher can read.

    Raises: NotFound for another cooperative, accounts.NotAllowed, accounts.ReasonNeeded.
    """
    version = _locked(by, version)
    accounts.require(by, "models.withdraw")
    why = accounts.checked_reason(reason)
    if version.withdrawn_at is None:
        _withdraw(version, now)
        accounts.record_act(
            by=by,
            act=StewardAct.Act.WITHDRAW_VERSION,
            subject=version,
            before={"withdrawn_at": None},
            after={"withdrawn_at": now.isoformat()},
            reason=why,
        )
    return version


def _locked(by: Membership, version: ModelVersion) -> ModelVersion:
    """The version's row, locked until the transaction ends. Raises: NotFound for another cooperative."""
    rows = ModelVersion.objects.select_for_update(no_key=True, of=("self",)).select_related("model")
    found = rows.get(pk=version.pk)
    if found.model.cooperative_id != by.cooperative_id or by.left_at is not None:
        raise NotFound(_("this cooperative has no model version %(version)s", version=version.pk))
    return found


def _withdraw(version: ModelVersion, now: datetime) -> None:
    version.withdrawn_at = now
    version.save(update_fields=["withdrawn_at"])


def _summary(text: str) -> str:
    plain = " ".join(text.split())
    if len(plain) > SUMMARY_LETTERS:
        raise SummaryTooLong(
            _(
                "found %(count)s letters; accepted are at most %(summary_letters)s",
                count=len(plain),
                summary_letters=SUMMARY_LETTERS,
            )
        )
    return plain


def _verify(membership: Membership, text: str, signature: str) -> tuple[PublisherKey, manifests.Manifest]:
    """The claimed key must be registered; only then is the claim checked against the signature."""
    try:
        claimed_key = manifests.parse_manifest(text).publisher_key
        key = PublisherKey.objects.filter(
            membership=membership, public_key=claimed_key, revoked_at__isnull=True
        ).first()
        if key is None:
            raise PublisherKeyUnknown(
                _("the manifest names %(claimed_key)s; register that key first", claimed_key=claimed_key)
            )
        return key, manifests.verify_manifest(text, signature, key.public_key)
    except (manifests.ManifestRefused, keys.BadSignature, keys.BadKey) as error:
        raise ManifestRefused(error.code, error.message) from error


def _stored_files(membership: Membership, manifest: manifests.Manifest) -> dict[str, Blob]:
    """Digest -> blob of every file of the manifest."""
    wanted = {file.digest for file in manifest.files}
    found = Blob.objects.filter(digest__in=wanted, grants__membership=membership)
    stored = {blob.digest: blob for blob in found}
    missing = sorted(file.name for file in manifest.files if file.digest not in stored)
    if missing:
        raise FilesMissing(_("upload first: %(missing)s", missing=", ".join(missing)), extra={"files": missing})
    for file in manifest.files:
        size = stored[file.digest].size_bytes
        if size != file.size_bytes:
            raise FilesMissing(
                _(
                    "%(name)s has %(size)s bytes; the manifest says %(size_bytes)s",
                    name=file.name,
                    size=size,
                    size_bytes=file.size_bytes,
                )
            )
    return stored


def _published_before(membership: Membership, digest: str) -> ModelVersion | None:
    known = queries.version_by_manifest(membership.cooperative_id, digest)
    if known is not None and known.withdrawn_at is not None:
        raise queries.VersionWithdrawn(_("%(known)s was withdrawn; publish a new version", known=known))
    return known


@transaction.atomic
def _write(
    membership: Membership,
    key: PublisherKey,
    manifest: manifests.Manifest,
    text: str,
    signature: str,
    digest: str,
    stored: dict[str, Blob],
    now: datetime,
    summary: str,
) -> ModelVersion:
    locks.lock(locks.Space.COOPERATIVE, [membership.cooperative_id])
    known = _published_before(membership, digest)
    if known is not None:
        return known
    model, _created = Model.objects.get_or_create(
        cooperative_id=membership.cooperative_id,
        name=manifest.name,
        defaults={"publisher": membership, "created_at": now},
    )
    if model.publisher_id != membership.pk:
        raise ModelNameTaken(_("choose another name than %(name)s", name=manifest.name))
    if summary and model.summary != summary:
        model.summary = summary
        model.save(update_fields=["summary"])
    if model.versions.filter(version=manifest.version).exists():
        raise VersionExists(
            _(
                "%(name)s %(version)s has another content; choose the next version",
                name=manifest.name,
                version=manifest.version,
            )
        )
    version = ModelVersion.objects.create(
        model=model,
        version=manifest.version,
        manifest=text,
        manifest_digest=digest,
        signature=signature,
        publisher_key=key,
        royalty_micro=manifest.royalty_micro_per_task,
        published_at=now,
    )
    ModelFile.objects.bulk_create(
        ModelFile(version=version, name=file.name, blob=stored[file.digest]) for file in manifest.files
    )
    return version
