"""A few rows of numbers as a person writes them, CSV or JSON, or a small .npy file, as the array a model takes."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.words import said as _
from opengrid import npy

MAX_ROWS = 1000
MAX_VALUES = 1_000_000
ANY_SIZE = -1
LARGEST = float(np.finfo(np.float32).max)


class RowsRefused(ValueError):
    """The text or file holds no such rows; the message says what was found and what would be accepted."""


def from_text(text: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """Rows written as CSV (a line each) or as JSON (a list of lists) for a model that takes `shape`.

    Raises: RowsRefused.
    """
    stripped = text.strip()
    if not stripped:
        raise RowsRefused(_("found nothing; write one row of numbers per line"))
    rows = _from_json(stripped) if stripped[0] == "[" else _from_csv(stripped)
    if len(rows) > MAX_ROWS:
        raise RowsRefused(
            _("found %(count)s rows; at most %(max_rows)s are tried at once", count=len(rows), max_rows=MAX_ROWS)
        )
    return _shaped(rows, shape)


def from_file(name: str, data: bytes, shape: Sequence[int]) -> NDArray[np.float32]:
    """Rows of an uploaded file: .npy as it stands, anything else as text. Raises: RowsRefused."""
    if data[:6] != npy.MAGIC:
        try:
            return from_text(data.decode(), shape)
        except UnicodeDecodeError as error:
            raise RowsRefused(_("%(name)s is neither a .npy array nor text", name=name[:100])) from error
    try:
        array = npy.load(data)
    except npy.NpyRefused as error:
        raise RowsRefused(_("%(name)s: %(error)s", name=name[:100], error=error)) from error
    if array.dtype.kind not in "fiu" or array.ndim < 1 or len(array) == 0:
        raise RowsRefused(
            _(
                "found an array of %(dtype)s of shape %(shape)s; accepted are rows of numbers",
                dtype=array.dtype,
                shape=array.shape,
            )
        )
    if len(array) > MAX_ROWS:
        raise RowsRefused(
            _("found %(count)s rows; at most %(max_rows)s are tried at once", count=len(array), max_rows=MAX_ROWS)
        )
    if not np.all(np.abs(array.astype(np.float64)) <= LARGEST):
        raise RowsRefused(_("found numbers that float32 cannot hold; accepted are finite ones up to 3.4e38"))
    return _fitted(array.astype(np.float32), shape)


def _from_json(text: str) -> list[list[float]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowsRefused(_("the text begins like JSON and is none: %(error)s", error=str(error)[:200])) from error
    if isinstance(found, list) and found and not isinstance(found[0], list):
        found = [found]
    return [_flat(row, at) for at, row in enumerate(found, start=1)]


def _flat(row: Any, at: int) -> list[float]:
    """The numbers of a row however deep they lie, in order."""
    values: list[float] = []
    left = [row]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left.extend(reversed(item))
        elif isinstance(item, int | float) and not isinstance(item, bool):
            values.append(_finite(str(item), at))
        else:
            raise RowsRefused(_("row %(at)s: found %(item)s; accepted are numbers", at=at, item=repr(str(item)[:40])))
    return values


def _from_csv(text: str) -> list[list[float]]:
    mark = ";" if ";" in text.partition("\n")[0] else ","
    rows = [line.rstrip(mark + " ").split(mark) for line in map(str.strip, text.splitlines()) if line]
    if rows and any(_is_word(cell) for cell in rows[0]):
        rows = rows[1:]  # a line of headings
    if not rows:
        raise RowsRefused(_("found headings and no rows; write one row of numbers per line"))
    return [[_finite(cell, at) for cell in row] for at, row in enumerate(rows, start=1)]


def _is_word(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(cell.strip())
    return False


def _finite(text: str, at: int) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise RowsRefused(
            _("row %(at)s: found %(text)s; accepted are numbers", at=at, text=repr(text.strip()[:40]))
        ) from error
    if not abs(value) <= LARGEST:  # neither does nan pass
        raise RowsRefused(
            _(
                "row %(at)s: found %(text)s; accepted are numbers that float32 can hold",
                at=at,
                text=repr(text.strip()[:40]),
            )
        )
    return value


def _shaped(rows: list[list[float]], shape: Sequence[int]) -> NDArray[np.float32]:
    lengths = {len(row) for row in rows} or {0}
    if len(lengths) != 1 or 0 in lengths:
        raise RowsRefused(
            _(
                "rows have %(lengths)s to %(lengths_2)s numbers; all must have the same, and one at least",
                lengths=min(lengths),
                lengths_2=max(lengths),
            )
        )
    width = lengths.pop()
    wanted = shape[1:]
    if len(wanted) > 1 and ANY_SIZE not in wanted and math.prod(wanted) == width:
        return np.array(rows, dtype=np.float32).reshape((len(rows), *wanted))
    array = np.array(rows, dtype=np.float32)
    return _fitted(array if len(shape) > 1 else array.reshape(-1), shape)


def _fitted(array: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    if array.size > MAX_VALUES:
        raise RowsRefused(
            _(
                "found %(size)s numbers; at most %(max_values)s are tried at once",
                size=array.size,
                max_values=MAX_VALUES,
            )
        )
    if array.ndim != len(shape) or any(
        wanted not in (ANY_SIZE, found) for wanted, found in zip(shape[1:], array.shape[1:], strict=True)
    ):
        found = " × ".join(map(str, array.shape[1:])) or "one"
        wanted = " × ".join("any" if size == ANY_SIZE else str(size) for size in shape[1:]) or "one"
        raise RowsRefused(_("found %(found)s numbers in a row; the model takes %(wanted)s", found=found, wanted=wanted))
    return array
