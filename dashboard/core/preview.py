"""What a result file looks like at a glance, as plain values: a table, a text, or the type of an image.

Nothing is believed from a name alone: a table is parsed, a text decoded, an image known by its first bytes. What is
none of these has no preview. SVG and HTML are text here and nowhere else.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from opengrid import npy

TABLE_ROWS: Final = 50
TABLE_COLUMNS: Final = 20
TEXT_LETTERS: Final = 20_000
CELL_LETTERS: Final = 200
READ_BYTES: Final = 1 << 20
"""More than this of a file is never read for a preview; an array or a document beyond it is only described."""
IMAGE_BYTES: Final = 8 << 20
TEXTS: Final = ("txt", "log", "md", "html", "htm", "svg", "xml", "yaml", "yml", "toml", "ini", "py")
_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True)
class Preview:
    """`kind` is table, text, image or none; `about` says what the whole file is, where that is known."""

    kind: str
    about: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    text: str = ""
    is_cut: bool = False


def image_type(start: bytes) -> str | None:
    """The type of an image by its first bytes; None for everything else."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGES if start.startswith(magic)), None)


def of_file(name: str, start: bytes, size_bytes: int) -> Preview:
    """The preview of a file that begins with `start` (at most READ_BYTES of it)."""
    kind = name.rpartition(".")[2].lower()
    is_whole = len(start) == size_bytes
    if image_type(start) is not None:
        return Preview("image" if size_bytes <= IMAGE_BYTES else "none")
    if kind == "npy":
        return _array(start, is_whole)
    if kind == "csv":
        return _table(start, is_whole)
    if kind == "json":
        return _document(start, is_whole)
    return _text(start, is_whole) if kind in TEXTS else Preview("none")


def _array(start: bytes, is_whole: bool) -> Preview:
    try:
        header = npy.parse_header(start)
        about = f"{header.dtype_name} {' × '.join(map(str, header.shape)) or 'scalar'}"
        if not is_whole or len(header.shape) not in (1, 2):
            return Preview("none", about)
        array = npy.load(start)
    except npy.NpyRefused:
        return Preview("none")
    columns = array.reshape(array.shape[0], -1) if array.size else array.reshape(0, 0)
    shown = columns[:TABLE_ROWS, :TABLE_COLUMNS]
    return Preview(
        "table",
        about,
        head=("", *map(str, range(shown.shape[1]))) if array.ndim == 2 else ("", "value"),
        rows=[(str(number), *(_number(value) for value in row)) for number, row in enumerate(shown.tolist())],
        is_cut=columns.shape[0] > TABLE_ROWS or columns.shape[1] > TABLE_COLUMNS,
    )


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(start: bytes, is_whole: bool) -> Preview:
    try:
        lines = list(csv.reader(io.StringIO(start.decode("utf-8", "replace"), newline=""), strict=True))
    except csv.Error:
        return _text(start, is_whole)
    if not is_whole:
        lines = lines[:-1]
    cut = [[cell[:CELL_LETTERS] for cell in line[:TABLE_COLUMNS]] for line in lines[: TABLE_ROWS + 1]]
    if not cut:
        return Preview("none")
    is_cut = not is_whole or len(lines) > TABLE_ROWS + 1 or any(len(line) > TABLE_COLUMNS for line in lines)
    return Preview("table", head=cut[0], rows=cut[1:], is_cut=is_cut)


def _document(start: bytes, is_whole: bool) -> Preview:
    if not is_whole:
        return _text(start, is_whole)
    try:
        pretty = json.dumps(json.loads(start), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _text(start, is_whole)
    return Preview("text", text=pretty[:TEXT_LETTERS], is_cut=len(pretty) > TEXT_LETTERS)


def _text(start: bytes, is_whole: bool) -> Preview:
    if b"\0" in start:
        return Preview("none")
    text = start.decode("utf-8", "replace")
    return Preview("text", text=text[:TEXT_LETTERS], is_cut=not is_whole or len(text) > TEXT_LETTERS)
