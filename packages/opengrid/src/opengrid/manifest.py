"""The model manifest: what a published version is, in the canonical text that its publisher signs.

The text itself travels and is stored; it is verified before it is parsed and never written anew.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator

from opengrid import canonical, keys
from opengrid.errors import OpengridError
from opengrid.messages import Digest, FileName, Message, Natural, Positive, PublicKey

FORMAT: Final = "opengrid-model-v1"
MAX_TEXT_BYTES: Final = 256 * 1024
ANY_SIZE: Final = -1
"""A dimension that the caller chooses, such as the number of rows."""

_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)


def _check_timestamp(text: str) -> str:
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError("a time reads 2026-01-31T12:00:00.000000Z")
    datetime.fromisoformat(text)
    return text


def _check_size(size: int) -> int:
    if size != ANY_SIZE and not 1 <= size <= 2**31:
        raise ValueError("a dimension is -1 (any) or 1 to 2**31")
    return size


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Version = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})"
        r"(-[0-9a-z][0-9a-z.-]{0,30})?$"
    ),
]
Licence = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9(][A-Za-z0-9.+:() -]{0,199}$")]
TensorName = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
Timestamp = Annotated[str, AfterValidator(_check_timestamp)]
Size = Annotated[int, AfterValidator(_check_size)]
DType = Literal[
    "float16", "float32", "float64", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64", "bool",
]  # fmt: skip


class FileKind(StrEnum):
    """Formats that hold weights and nothing that executes. The file name ends in the same word."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"


class ManifestFile(Message):
    """One file of a version."""

    name: FileName
    digest: Digest
    size_bytes: Positive
    kind: FileKind

    @model_validator(mode="after")
    def _name_shows_kind(self) -> "ManifestFile":
        if not self.name.endswith(f".{self.kind}"):
            raise ValueError(f"{self.name} is of kind {self.kind}; its name must end .{self.kind}")
        return self


class Tensor(Message):
    """An input or output of the model; sizes of -1 are chosen by the caller."""

    name: TensorName
    dtype: DType
    shape: Annotated[tuple[Size, ...], Field(max_length=8)]


class Manifest(Message):
    """A version of a model. The royalty is in micro-credits for each task that uses it."""

    format: Literal["opengrid-model-v1"] = FORMAT
    name: Slug
    version: Version
    task: Slug
    files: Annotated[tuple[ManifestFile, ...], Field(min_length=1, max_length=100)]
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=100)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=100)]
    licence: Licence
    royalty_micro_per_task: Natural
    created_at: Timestamp
    publisher_key: PublicKey

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Manifest":
        for what, names in (
            ("file", [file.name.lower() for file in self.files]),
            ("input", [tensor.name for tensor in self.inputs]),
            ("output", [tensor.name for tensor in self.outputs]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"two {what}s have the same name")
        return self

    def canonical_text(self) -> str:
        """The text to sign, publish and store."""
        return canonical.canonical_bytes(self.document()).decode()


class ManifestRefused(OpengridError):
    """The text is no acceptable manifest; `code` starts with manifest_."""


def sign_manifest(private: keys.PrivateKey, manifest: Manifest) -> tuple[str, str]:
    """The canonical text and its signature. Raises: ManifestRefused (manifest_publisher)."""
    _check_publisher(manifest, private.public_text)
    text = manifest.canonical_text()
    return text, keys.sign_document(private, keys.MODEL_MANIFEST, text.encode())


def parse_manifest(text: str) -> Manifest:
    """Parse canonical text strictly.

    Raises: ManifestRefused (manifest_too_large, manifest_not_canonical, manifest_invalid).
    """
    data = _encode(text)
    try:
        canonical.parse_canonical(data)
        return Manifest.model_validate_json(data)
    except canonical.NotCanonical as error:
        raise ManifestRefused("manifest_not_canonical", str(error)) from error
    except ValidationError as error:
        raise ManifestRefused("manifest_invalid", _first_fault(error)) from error


def verify_manifest(text: str, signature: str, publisher_key: str) -> Manifest:
    """Check the publisher's signature over the text, then parse it.

    Raises: keys.BadSignature, keys.BadKey, ManifestRefused (also manifest_publisher when the text
    names another publisher's key).
    """
    data = _encode(text)
    keys.verify_document(publisher_key, keys.MODEL_MANIFEST, data, signature)
    manifest = parse_manifest(text)
    _check_publisher(manifest, publisher_key)
    return manifest


def _encode(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise ManifestRefused("manifest_not_canonical", "the text is not Unicode") from error
    if len(data) > MAX_TEXT_BYTES:
        raise ManifestRefused("manifest_too_large", f"found {len(data)} bytes; {MAX_TEXT_BYTES} are accepted")
    return data


def _check_publisher(manifest: Manifest, publisher_key: str) -> None:
    if manifest.publisher_key != publisher_key:
        raise ManifestRefused(
            "manifest_publisher",
            f"the manifest names {manifest.publisher_key}, the signer is {publisher_key}",
        )


def _first_fault(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "the manifest"
    return f"{where}: {fault['msg']}"
