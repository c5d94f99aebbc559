"""safetensors files, parsed strictly from their header (format: huggingface/safetensors, README).

Eight bytes of header length, a JSON header, then the data, which the tensors must cover exactly,
without gaps or overlaps. Stricter than the library: no duplicate keys, no floats, at least one tensor.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
MAX_RANK: Final = 16
MAX_TENSOR_BYTES: Final = 2**48
METADATA: Final = "__metadata__"

ELEMENT_BYTES: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4,
    "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip

_NAME = re.compile(r"[\x20-\x7e]{1,500}")


class SafetensorsRefused(ValueError):
    """The file is no acceptable safetensors file; the message says what was found."""


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor: element type, shape, and where its data lies behind the header, in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def header_length(head: bytes, file_bytes: int) -> int:
    """Length in bytes of the JSON header, from the file's first 8 bytes. Raises: SafetensorsRefused."""
    if len(head) < LENGTH_BYTES:
        raise SafetensorsRefused(f"found {file_bytes} bytes; a safetensors file has at least {LENGTH_BYTES}")
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    if length > MAX_HEADER_BYTES:
        raise SafetensorsRefused(f"the header announces {length} bytes; at most {MAX_HEADER_BYTES} are accepted")
    if length > file_bytes - LENGTH_BYTES:
        raise SafetensorsRefused(
            f"the header announces {length} bytes; the file has {file_bytes - LENGTH_BYTES} behind its length"
        )
    return length


def parse_header(header: bytes, file_bytes: int) -> list[TensorEntry]:
    """The tensors by position, after all rules were checked. Raises: SafetensorsRefused."""
    document = _document(header)
    _check_metadata(document.pop(METADATA, {}))
    entries = sorted(
        (_entry(name, fields) for name, fields in document.items()), key=lambda entry: (entry.start, entry.stop)
    )
    if not entries:
        raise SafetensorsRefused("the file holds no tensor")
    _check_cover(entries, file_bytes - LENGTH_BYTES - len(header))
    return entries


def _document(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise SafetensorsRefused("the header does not begin with {")
    try:
        document = json.loads(
            header.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise SafetensorsRefused(f"the header is not strict JSON: {str(error)[:200]}") from error
    assert isinstance(document, dict)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice in an object")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"found the number {text[:40]}; only integers are accepted")


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise SafetensorsRefused(f"{METADATA} is not an object of texts")


def _entry(name: str, fields: Any) -> TensorEntry:
    if _NAME.fullmatch(name) is None:
        raise SafetensorsRefused(f"found the tensor name {name[:80]!r}; accepted are 1 to 500 printable characters")
    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise SafetensorsRefused(f"tensor {name}: found other fields than dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ELEMENT_BYTES:
        raise SafetensorsRefused(f"tensor {name}: found dtype {str(dtype)[:40]}; accepted: {', '.join(ELEMENT_BYTES)}")
    if not _are_naturals(shape) or len(shape) > MAX_RANK:
        raise SafetensorsRefused(f"tensor {name}: the shape is not at most {MAX_RANK} numbers from 0")
    if not _are_naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise SafetensorsRefused(f"tensor {name}: data_offsets are not two ascending numbers")
    size = ELEMENT_BYTES[dtype] * math.prod(shape)
    if size > MAX_TENSOR_BYTES or size != offsets[1] - offsets[0]:
        raise SafetensorsRefused(
            f"tensor {name}: dtype and shape need {size} bytes, data_offsets span {offsets[1] - offsets[0]}"
        )
    return TensorEntry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _are_naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= MAX_TENSOR_BYTES for value in values)


def _check_cover(entries: list[TensorEntry], data_bytes: int) -> None:
    position = 0
    for entry in entries:
        if entry.start != position:
            raise SafetensorsRefused(
                f"tensor {entry.name} starts at {entry.start}; {position} was expected (no gaps, no overlaps)"
            )
        position = entry.stop
    if position != data_bytes:
        raise SafetensorsRefused(f"the tensors cover {position} bytes; the file has {data_bytes} of data")
