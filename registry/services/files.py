"""Model files as they lie in the store: what they claim to be, proved by strict parsing."""

from common.errors import Invalid
from common.words import said as _
from opengrid import manifest as manifests
from registry import blobs
from registry.core import formats, onnx_file, safetensors_file


class FileRefused(Invalid):
    """A file is not what its manifest says; `code` and the words name the reason."""

    code = "model_file_refused"
    title = _("A file of the model cannot be accepted")


class PickleRefused(FileRefused):
    """The file can run code when it is loaded."""

    code = "pickle_refused"
    title = _("Formats that run code when they are loaded are not accepted")


class TensorsDiffer(FileRefused):
    """The manifest describes other inputs or outputs than the model has."""

    code = "model_tensors_differ"
    title = _("The manifest does not describe this model")


def check_files(manifest: manifests.Manifest) -> None:
    """Check each stored file of `manifest`, and that the graph is the one described.

    Raises: FileRefused, PickleRefused, TensorsDiffer, blobs.BlobMissing.
    """
    graphs = [file for file in manifest.files if file.kind == manifests.FileKind.ONNX]
    if len(graphs) > 1:
        raise FileRefused(
            _("found %(count)s ONNX files; a version has one graph, and weights beside it", count=len(graphs))
        )
    for file in manifest.files:
        if file.kind == manifests.FileKind.ONNX:
            _check_onnx(file, manifest)
        else:
            _check_safetensors(file)


def refuse_pickles(file: manifests.ManifestFile) -> None:
    """Look at the first bytes of a stored file. Raises: PickleRefused, blobs.BlobMissing."""
    with blobs.open_blob(file.digest) as stored:
        found = formats.refused_format(stored.read(formats.HEAD_BYTES))
    if found is not None:
        raise PickleRefused(_("%(name)s is %(found)s; accepted are ONNX and safetensors", name=file.name, found=found))


def _check_onnx(file: manifests.ManifestFile, manifest: manifests.Manifest) -> None:
    if file.size_bytes > onnx_file.MAX_BYTES:
        raise FileRefused(
            _(
                "%(name)s has %(size_bytes)s bytes; at most %(max_bytes)s are accepted",
                name=file.name,
                size_bytes=file.size_bytes,
                max_bytes=onnx_file.MAX_BYTES,
            )
        )
    refuse_pickles(file)
    with blobs.open_blob(file.digest) as stored:
        data = stored.read()
    try:
        facts = onnx_file.inspect(data)
    except onnx_file.OnnxRefused as error:
        raise FileRefused(_("%(name)s: %(error)s", name=file.name, error=error)) from error
    _compare("inputs", facts.inputs, manifest.inputs)
    _compare("outputs", facts.outputs, manifest.outputs)


def _check_safetensors(file: manifests.ManifestFile) -> None:
    with blobs.open_blob(file.digest) as stored:
        head = stored.read(safetensors_file.LENGTH_BYTES)
        try:
            length = safetensors_file.header_length(head, file.size_bytes)
            safetensors_file.parse_header(stored.read(length), file.size_bytes)
        except safetensors_file.SafetensorsRefused as error:
            # only now: the length at its start may look like another format's magic
            refuse_pickles(file)
            raise FileRefused(_("%(name)s: %(error)s", name=file.name, error=error)) from error


def _compare(what: str, found: tuple[onnx_file.TensorFacts, ...], stated: tuple[manifests.Tensor, ...]) -> None:
    in_file = [(tensor.name, tensor.dtype, tensor.shape) for tensor in found]
    in_manifest = [(tensor.name, str(tensor.dtype), tensor.shape) for tensor in stated]
    if in_file != in_manifest:
        raise TensorsDiffer(
            _(
                "the graph's %(what)s are %(in_file)s; the manifest says %(in_manifest)s",
                what=what,
                in_file=_words(in_file),
                in_manifest=_words(in_manifest),
            )
        )


def _words(tensors: list[tuple[str, str, tuple[int, ...]]]) -> str:
    return "; ".join(f"{name[:80]} {dtype}{list(shape)}" for name, dtype, shape in tensors[:10]) or "none"
