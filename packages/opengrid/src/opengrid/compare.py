"""Whether two honest executions could have produced these two arrays.

Integers and booleans must be equal. Floats may differ as different processors differ: by at most
rtol * rms(reference) + atol anywhere, NaN and infinities in the same places, and in tables (2-D)
with the same greatest column in every row, except where the best two are closer than the tolerance.
Element-wise relative error is no use: near zero it reaches percents between honest machines.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]


class Difference(StrEnum):
    """Why two arrays do not agree."""

    DTYPE = "dtype_differs"
    SHAPE = "shape_differs"
    VALUES = "values_differ"
    NON_FINITE = "non_finite_differs"
    TOLERANCE = "beyond_tolerance"
    DECISION = "decision_differs"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Greatest difference accepted: rtol times the root mean square of the reference, plus atol."""

    rtol: float
    atol: float


TOLERANCES: Final = {
    "float16": Tolerance(1e-2, 1e-3),
    "float32": Tolerance(1e-4, 1e-6),
    "float64": Tolerance(1e-4, 1e-6),
}
"""rtol is 20 times or more what was measured between instruction sets (AVX-512, AVX2, SSE)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict. `detail` says in words what was found; it is empty when the arrays agree."""

    agree: bool
    difference: Difference | None = None
    detail: str = ""


AGREE: Final = Outcome(True)


def compare(reference: AnyArray, other: AnyArray) -> Outcome:
    """Compare `other` with `reference`. Raises: TypeError for types that no .npy of ours holds."""
    if reference.dtype != other.dtype:
        return _differ(Difference.DTYPE, f"found {other.dtype}, the reference is {reference.dtype}")
    if reference.shape != other.shape:
        return _differ(Difference.SHAPE, f"found {other.shape}, the reference is {reference.shape}")
    if reference.dtype.kind in "iub":
        return _compare_exact(reference, other)
    if reference.dtype.name not in TOLERANCES:
        raise TypeError(f"arrays of {reference.dtype} cannot be compared")
    return _compare_floats(reference.astype(np.float64), other.astype(np.float64), TOLERANCES[reference.dtype.name])


def root_mean_square(values: _Floats) -> float:
    """Root mean square of finite values, 0 for none; scaled so that it cannot overflow."""
    greatest = float(np.max(np.abs(values), initial=0.0))
    if greatest == 0.0:
        return 0.0
    return greatest * float(np.sqrt(np.mean(np.square(values / greatest))))


def _differ(difference: Difference, detail: str) -> Outcome:
    return Outcome(False, difference, detail)


def _compare_exact(reference: AnyArray, other: AnyArray) -> Outcome:
    unequal = int(np.count_nonzero(reference != other))
    if not unequal:
        return AGREE
    return _differ(Difference.VALUES, f"{unequal} of {reference.size} values differ")


def _compare_floats(reference: _Floats, other: _Floats, tolerance: Tolerance) -> Outcome:
    finite = np.isfinite(reference)
    odd_reference, odd_other = reference[~finite], other[~finite]
    if not np.array_equal(finite, np.isfinite(other)) or not np.array_equal(odd_reference, odd_other, equal_nan=True):
        return _differ(Difference.NON_FINITE, "NaN or infinities stand in different places")
    allowed = tolerance.rtol * root_mean_square(reference[finite]) + tolerance.atol
    with np.errstate(over="ignore"):
        found = float(np.max(np.abs(reference[finite] - other[finite]), initial=0.0))
    if found > allowed:
        return _differ(Difference.TOLERANCE, f"differ by {found:.3g}, {allowed:.3g} is allowed")
    if reference.ndim == 2 and reference.shape[1] >= 2:
        return _compare_decisions(reference, other, np.asarray(finite.all(axis=1)), allowed)
    return AGREE


def _compare_decisions(
    reference: _Floats, other: _Floats, finite_rows: npt.NDArray[np.bool_], allowed: float
) -> Outcome:
    """The greatest column per row; rows with NaN or infinities were already found to match."""
    table, twin = reference[finite_rows], other[finite_rows]
    changed = np.argmax(table, axis=1) != np.argmax(twin, axis=1)
    best_two = np.partition(table[changed], table.shape[1] - 2, axis=1)[:, -2:]
    with np.errstate(over="ignore"):
        clear = int(np.count_nonzero(best_two[:, 1] - best_two[:, 0] >= allowed))
    if not clear:
        return AGREE
    return _differ(Difference.DECISION, f"{clear} of {len(reference)} rows decide otherwise")
