"""The manifest of files that were just uploaded, in the canonical text that their publisher then signs.

Nothing is published here. The text goes back to the person, is signed where the private key is, and comes
again through `publish_version`, which checks everything anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from pydantic import ValidationError

from accounts import services as accounts
from accounts.models import Membership
from common.errors import Invalid
from common.words import said as _
from opengrid import manifest as manifests
from opengrid.messages import timestamp
from registry import blobs
from registry.core import onnx_file
from registry.services import files
from registry.services.storing import store_blob


class DraftIncomplete(Invalid):
    """The manifest cannot be written from what was given; `field` says which part of it."""

    code = "manifest_invalid"
    title = _("The manifest cannot be written from this")

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail, extra={"field": field})
        self.field = field


@dataclass(frozen=True)
class Upload:
    """One file of a version, whose bytes come in chunks."""

    name: str
    chunks: Iterable[bytes]


@dataclass(frozen=True)
class Draft:
    """What a publisher says about a version. Inputs and outputs are read from an ONNX graph if there is one."""

    name: str
    version: str
    task: str
    licence: str
    royalty_micro: int
    publisher_key: str
    inputs: tuple[manifests.Tensor, ...] = ()
    outputs: tuple[manifests.Tensor, ...] = ()


def draft_manifest(*, membership: Membership, draft: Draft, uploads: Sequence[Upload], now: datetime) -> str:
    """Store the files and write the canonical text of their manifest, to be signed.

    Raises: accounts.NotAllowed, DraftIncomplete, files.FileRefused, files.PickleRefused, bodies.BodyTooLarge,
    blobs.StorageFull.
    """
    accounts.require(membership, "models.publish")
    stored = [_store(membership, upload) for upload in uploads]
    inputs, outputs = _tensors(draft, stored)
    try:
        manifest = manifests.Manifest(
            name=draft.name,
            version=draft.version,
            task=draft.task,
            files=tuple(stored),
            inputs=inputs,
            outputs=outputs,
            licence=draft.licence,
            royalty_micro_per_task=draft.royalty_micro,
            created_at=timestamp(now),
            publisher_key=draft.publisher_key,
        )
    except ValidationError as error:
        raise _incomplete(error) from error
    files.check_files(manifest)
    return manifest.canonical_text()


def _store(membership: Membership, upload: Upload) -> manifests.ManifestFile:
    kind = upload.name.rpartition(".")[2].lower()
    if kind not in list(manifests.FileKind):
        raise DraftIncomplete("files", _("found %(name)s; accepted are .onnx and .safetensors", name=upload.name[:100]))
    blob = store_blob(chunks=upload.chunks, limit_bytes=settings.BLOB_MAX_BYTES, membership=membership)
    try:
        return manifests.ManifestFile(
            name=upload.name, digest=blob.digest, size_bytes=blob.size_bytes, kind=manifests.FileKind(kind)
        )
    except ValidationError as error:
        raise DraftIncomplete(
            "files", _("%(name)s: %(error)s", name=upload.name[:100], error=error.errors()[0]["msg"])
        ) from error


def _tensors(
    draft: Draft, stored: Sequence[manifests.ManifestFile]
) -> tuple[tuple[manifests.Tensor, ...], tuple[manifests.Tensor, ...]]:
    """What the graph takes and gives; as the publisher says where there is no graph."""
    graph = next((file for file in stored if file.kind == manifests.FileKind.ONNX), None)
    if graph is None:
        if not draft.inputs or not draft.outputs:
            raise DraftIncomplete("inputs", _("without an ONNX file, say what the model takes and gives"))
        return draft.inputs, draft.outputs
    if graph.size_bytes > onnx_file.MAX_BYTES:
        raise files.FileRefused(
            _(
                "%(name)s has %(size_bytes)s bytes; accepted are %(max_bytes)s",
                name=graph.name,
                size_bytes=graph.size_bytes,
                max_bytes=onnx_file.MAX_BYTES,
            )
        )
    files.refuse_pickles(graph)
    try:
        facts = onnx_file.inspect(blobs.read(graph.digest))
        found = tuple(tuple(map(_tensor, side)) for side in (facts.inputs, facts.outputs))
    except onnx_file.OnnxRefused as error:
        raise files.FileRefused(_("%(name)s: %(error)s", name=graph.name, error=error)) from error
    except ValidationError as error:
        raise files.FileRefused(_("%(name)s: %(error)s", name=graph.name, error=error.errors()[0]["msg"])) from error
    return found[0], found[1]


def _tensor(facts: onnx_file.TensorFacts) -> manifests.Tensor:
    return manifests.Tensor.model_validate({"name": facts.name, "dtype": facts.dtype, "shape": facts.shape})


def _incomplete(error: ValidationError) -> DraftIncomplete:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return DraftIncomplete(str(fault["loc"][0]) if fault["loc"] else "files", fault["msg"])
