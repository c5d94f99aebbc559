"""Arrays as .npy files from people nobody trusts: read, cut by rows and written without pickle.

Accepted: format versions 1.0, 2.0 and 3.0, plain little-endian numbers and booleans, C order, at
most MAX_RANK dimensions, a header of at most MAX_HEADER_BYTES, and not one byte more or less than
the header announces. All else is refused with NpyRefused. The header is matched, never evaluated.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from opengrid.errors import OpengridError

MAGIC: Final = b"\x93NUMPY"
MAX_HEADER_BYTES: Final = 4096
MAX_RANK: Final = 8
MAX_DATA_BYTES: Final = 2**40
CHUNK_BYTES: Final = 1 << 20

DTYPES: Final = {
    "<f2": "float16",
    "<f4": "float32",
    "<f8": "float64",
    "|i1": "int8",
    "<i2": "int16",
    "<i4": "int32",
    "<i8": "int64",
    "|u1": "uint8",
    "<u2": "uint16",
    "<u4": "uint32",
    "<u8": "uint64",
    "|b1": "bool",
}
"""Accepted type descriptions and the names they go by in manifests."""

_ALIGNMENT: Final = 64
_LENGTH_BYTES: Final = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_ENTRY = re.compile(
    r"""\s*(?:
        (['"])descr\1\s*:\s*(['"])(?P<descr>[^'"\\]{1,200})\2
      | (['"])fortran_order\4\s*:\s*(?P<fortran_order>True|False)
      | (['"])shape\6\s*:\s*\((?P<shape>[0-9,\x20]*)\)
    )\s*""",
    re.VERBOSE | re.ASCII,
)
_SHAPE = re.compile(r"|[0-9]+, *|[0-9]+(?:, *[0-9]+)+(?:, *)?")
_DIMENSION = re.compile(r"0|[1-9][0-9]{0,15}")

AnyArray = npt.NDArray[Any]


class NpyRefused(OpengridError):
    """The file is not an acceptable .npy file; `code` starts with npy_."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy header announces. `descr` is a key of DTYPES; data starts at `offset_bytes`."""

    descr: str
    shape: tuple[int, ...]
    offset_bytes: int

    @property
    def dtype_name(self) -> str:
        """Name of the element type, e.g. float32."""
        return DTYPES[self.descr]

    @property
    def data_bytes(self) -> int:
        """Size of the data behind the header."""
        return int(self.descr[2:]) * math.prod(self.shape)

    @property
    def file_bytes(self) -> int:
        """Size of the whole file."""
        return self.offset_bytes + self.data_bytes

    @property
    def rows(self) -> int:
        """Length of the first axis. Raises: NpyRefused for a scalar, which has no rows."""
        if not self.shape:
            raise NpyRefused("npy_no_rows", "the array is a scalar; at least one axis is needed")
        return self.shape[0]


def parse_header(data: bytes) -> Header:
    """Parse the header at the start of `data` (MAX_HEADER_BYTES + 12 bytes always suffice).

    Raises: NpyRefused (npy_magic, npy_version, npy_truncated, npy_header, npy_dtype,
    npy_fortran_order, npy_shape, npy_too_large).
    """
    if data[:6] != MAGIC:
        raise NpyRefused("npy_magic", "the file does not start as a .npy file")
    version = tuple(data[6:8])
    if len(data) < 8 or version not in _LENGTH_BYTES:
        raise NpyRefused("npy_version", f"found format version {version}; 1.0 to 3.0 are accepted")
    start = 8 + _LENGTH_BYTES[version]
    length = int.from_bytes(data[8:start], "little")
    if length > MAX_HEADER_BYTES:
        raise NpyRefused("npy_header", f"the header has {length} bytes; at most {MAX_HEADER_BYTES}")
    text = data[start : start + length]
    if len(data) < start or len(text) < length:
        raise NpyRefused("npy_truncated", "the file ends inside its header")
    return _header_of(text, start + length)


def read_header(file: BinaryIO) -> Header:
    """Read the header of a whole file and leave the position at the data.

    Raises: NpyRefused as `parse_header`, and npy_size unless the file ends where the data ends.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = parse_header(file.read(MAX_HEADER_BYTES + 12))
    _check_size(header, size)
    file.seek(header.offset_bytes)
    return header


def header_bytes(descr: str, shape: tuple[int, ...]) -> bytes:
    """The header numpy itself writes (version 1.0, padded to 64 bytes). Raises: NpyRefused."""
    axes = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {axes}, }}"
    padding = -(len(MAGIC) + 4 + len(text) + 1) % _ALIGNMENT
    body = f"{text}{' ' * padding}\n".encode("latin-1")
    whole = MAGIC + b"\x01\x00" + len(body).to_bytes(2, "little") + body
    parse_header(whole)
    return whole


def slice_rows(
    file: BinaryIO, header: Header, start: int, stop: int, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Chunks of a .npy file that holds rows [start, stop) of the open file `file`.

    Only one chunk is in memory at a time. Raises: NpyRefused (npy_rows for rows the array does not
    have, npy_truncated when the file ends early).
    """
    row_bytes = _row_bytes(header, start, stop)
    return _slice(file, header, start * row_bytes, stop * row_bytes, stop - start, chunk_bytes)


def slice_size_bytes(header: Header, start: int, stop: int) -> int:
    """Size in bytes of what `slice_rows` yields. Raises: NpyRefused."""
    row_bytes = _row_bytes(header, start, stop)
    head = header_bytes(header.descr, (stop - start, *header.shape[1:]))
    return len(head) + row_bytes * (stop - start)


def load(data: bytes) -> AnyArray:
    """The array in the bytes of a whole .npy file: aligned, writable, C order.

    Raises: NpyRefused; a boolean array may hold no bytes but 0 and 1 (npy_data).
    """
    header = parse_header(data)
    _check_size(header, len(data))
    array = np.frombuffer(data, dtype=np.dtype(header.descr), offset=header.offset_bytes)
    if header.descr == "|b1" and np.any(array.view(np.uint8) > 1):
        raise NpyRefused("npy_data", "a boolean array holds a byte that is neither 0 nor 1")
    return array.reshape(header.shape).copy()


def dump(array: AnyArray) -> bytes:
    """The .npy bytes of an array, converted to little-endian and C order. Raises: NpyRefused."""
    plain = np.asarray(array, order="C")
    little = plain.astype(plain.dtype.newbyteorder("<"), order="C", copy=False)
    return header_bytes(little.dtype.str, little.shape) + little.tobytes()


def _row_bytes(header: Header, start: int, stop: int) -> int:
    if not 0 <= start < stop <= header.rows:
        raise NpyRefused("npy_rows", f"found rows {start} to {stop}; the array has rows 0 to {header.rows}")
    return header.data_bytes // header.rows


def _slice(file: BinaryIO, header: Header, start: int, stop: int, rows: int, chunk_bytes: int) -> Iterator[bytes]:
    yield header_bytes(header.descr, (rows, *header.shape[1:]))
    position = header.offset_bytes + start
    left = stop - start
    while left:
        file.seek(position)
        chunk = file.read(min(left, chunk_bytes))
        if not chunk:
            raise NpyRefused("npy_truncated", f"the file ends {left} bytes too early")
        position += len(chunk)
        left -= len(chunk)
        yield chunk


def _check_size(header: Header, size: int) -> None:
    if size != header.file_bytes:
        raise NpyRefused("npy_size", f"the file has {size} bytes; its header announces {header.file_bytes}")


def _header_of(raw: bytes, offset_bytes: int) -> Header:
    found = _entries(raw)
    descr = found["descr"]
    if descr not in DTYPES:
        raise NpyRefused("npy_dtype", f"found element type {descr!r}; accepted are {', '.join(DTYPES)}")
    if found["fortran_order"] == "True":
        raise NpyRefused("npy_fortran_order", "the array is in Fortran order; save numpy.ascontiguousarray(a)")
    shape = _shape_of(found["shape"])
    # an empty array may still have other axes that overflow whoever allocates it
    if int(descr[2:]) * math.prod(size or 1 for size in shape) > MAX_DATA_BYTES:
        raise NpyRefused("npy_too_large", f"found shape {shape}; at most {MAX_DATA_BYTES} bytes")
    return Header(descr, shape, offset_bytes)


def _entries(raw: bytes) -> dict[str, str]:
    """The three entries of the dictionary, each exactly once, in any order."""
    text = raw.decode("latin-1")
    body = text.rstrip(" \n")
    if not (body.startswith("{") and body.endswith("}") and text.endswith("\n")):
        raise NpyRefused("npy_header", "the header is not one dictionary and a line feed")
    found: dict[str, str] = {}
    position, end = 1, len(body) - 1
    while position < end:
        match = _ENTRY.match(body, position, end)
        if match is None:
            if found and not body[position:end].strip(" "):
                break
            raise NpyRefused("npy_header", "the header has more than descr, fortran_order, shape")
        name = match.lastgroup
        if name is None or name in found:
            raise NpyRefused("npy_header", f"the header has {name} twice")
        found[name] = match[name]
        position = match.end()
        if position < end:
            if body[position] != ",":
                raise NpyRefused("npy_header", "entries of the header are separated by commas")
            position += 1
    if len(found) != 3:
        raise NpyRefused("npy_header", "the header lacks one of descr, fortran_order, shape")
    return found


def _shape_of(text: str) -> tuple[int, ...]:
    if _SHAPE.fullmatch(text.strip(" ")) is None:
        raise NpyRefused("npy_shape", f"found shape ({text[:100]}); a tuple of numbers is accepted")
    sizes = [size.strip(" ") for size in text.split(",") if size.strip(" ")]
    if len(sizes) > MAX_RANK:
        raise NpyRefused("npy_shape", f"found {len(sizes)} axes; at most {MAX_RANK} are accepted")
    if not all(_DIMENSION.fullmatch(size) for size in sizes):
        raise NpyRefused("npy_shape", f"found shape ({text[:100]}); sizes are plain numbers")
    return tuple(int(size) for size in sizes)
