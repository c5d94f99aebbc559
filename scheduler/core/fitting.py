"""Whether a model can be run by runner onnx, and whether rows fit what the model takes.

The agent feeds one float32 array to a model with one input, 32 rows at a time or one by one.
"""

from common.words import said as _
from opengrid.manifest import ANY_SIZE, FileKind, Manifest

DTYPE = "float32"
ROWS_AT_ONCE = (ANY_SIZE, 1)
"""Sizes of the first axis that the runner can feed: any number of rows, or one by one."""


def model_refusal(model: Manifest) -> str | None:
    """Why runner onnx cannot run this model, in words; None if it can."""
    files = [file.name for file in model.files if file.kind is FileKind.ONNX]
    if len(files) != 1:
        return _("the model has %(count)s ONNX files; runner onnx takes exactly one", count=len(files))
    if len(model.inputs) != 1:
        return _("the model takes %(count)s inputs; runner onnx feeds exactly one", count=len(model.inputs))
    taken = model.inputs[0]
    if taken.dtype != DTYPE:
        return _("the model takes %(dtype)s; runner onnx feeds %(dtype_2)s", dtype=taken.dtype, dtype_2=DTYPE)
    if not taken.shape or taken.shape[0] not in ROWS_AT_ONCE:
        return _(
            "the model takes the shape %(shape)s; runner onnx feeds any number of rows, or one",
            shape=_words(taken.shape),
        )
    return None


def rows_refusal(dtype: str, shape: tuple[int, ...], model: Manifest) -> str | None:
    """Why an array does not fit the model's one input, in words; None if it does. The first axis are the rows."""
    taken = model.inputs[0]
    if dtype != taken.dtype:
        return _("found elements of %(dtype)s; the model takes %(dtype_2)s", dtype=dtype, dtype_2=taken.dtype)
    if len(shape) != len(taken.shape) or any(
        wanted not in (ANY_SIZE, found) for wanted, found in zip(taken.shape[1:], shape[1:], strict=True)
    ):
        return _(
            "found the shape %(shape)s; the model takes %(found)s",
            shape=_words(shape),
            found=_words((ANY_SIZE, *taken.shape[1:])),
        )
    return None


def _words(shape: tuple[int, ...]) -> str:
    return f"({', '.join('any' if size == ANY_SIZE else str(size) for size in shape)})"
