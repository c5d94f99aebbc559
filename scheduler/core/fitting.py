"""Whether a model can be run by runner onnx, and whether rows fit what the model takes.

The agent feeds one float32 array to a model with one input, 32 rows at a time or one by one.
"""

from opengrid.manifest import ANY_SIZE, FileKind, Manifest

DTYPE = "float32"
ROWS_AT_ONCE = (ANY_SIZE, 1)
"""Sizes of the first axis that the runner can feed: any number of rows, or one by one."""


def model_refusal(model: Manifest) -> str | None:
    """Why runner onnx cannot run this model, in words; None if it can."""
    files = [file.name for file in model.files if file.kind is FileKind.ONNX]
    if len(files) != 1:
        return f"the model has {len(files)} ONNX files; runner onnx takes exactly one"
    if len(model.inputs) != 1:
        return f"the model takes {len(model.inputs)} inputs; runner onnx feeds exactly one"
    taken = model.inputs[0]
    if taken.dtype != DTYPE:
        return f"the model takes {taken.dtype}; runner onnx feeds {DTYPE}"
    if not taken.shape or taken.shape[0] not in ROWS_AT_ONCE:
        return f"the model takes the shape {_words(taken.shape)}; runner onnx feeds any number of rows, or one"
    return None


def rows_refusal(dtype: str, shape: tuple[int, ...], model: Manifest) -> str | None:
    """Why an array does not fit the model's one input, in words; None if it does. The first axis are the rows."""
    taken = model.inputs[0]
    if dtype != taken.dtype:
        return f"found elements of {dtype}; the model takes {taken.dtype}"
    if len(shape) != len(taken.shape) or any(
        wanted not in (ANY_SIZE, found) for wanted, found in zip(taken.shape[1:], shape[1:], strict=True)
    ):
        return f"found the shape {_words(shape)}; the model takes {_words((ANY_SIZE, *taken.shape[1:]))}"
    return None


def _words(shape: tuple[int, ...]) -> str:
    return f"({', '.join('any' if size == ANY_SIZE else str(size) for size in shape)})"
