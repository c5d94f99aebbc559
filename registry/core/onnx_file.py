"""ONNX files, parsed strictly: standard operators only, everything inside the file.

Accepted are the versions that every ONNX Runtime from 1.23 on runs. No external data (it names
paths), no local functions, no training part, no fields that this version of ONNX does not know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import checker

MAX_BYTES: Final = 128 * 1024 * 1024
IR_VERSIONS: Final = range(4, 12)
OPSETS: Final = {"ai.onnx": range(9, 24), "ai.onnx.ml": range(1, 6)}
ANY_SIZE: Final = -1

_DTYPES: Final = {
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.INT16: "int16",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.UINT16: "uint16",
    onnx.TensorProto.UINT32: "uint32",
    onnx.TensorProto.UINT64: "uint64",
    onnx.TensorProto.BOOL: "bool",
}


class OnnxRefused(ValueError):
    """The file is no acceptable ONNX model; the message says what was found and what is accepted."""


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output as the graph states it; ANY_SIZE for a size that the caller chooses."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OnnxFacts:
    """What the graph takes and gives, in its own order."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]


def inspect(data: bytes) -> OnnxFacts:
    """Check the bytes of a whole ONNX file and return its inputs and outputs. Raises: OnnxRefused."""
    if len(data) > MAX_BYTES:
        raise OnnxRefused(f"found {len(data)} bytes; at most {MAX_BYTES} are accepted in an ONNX file")
    model = _parse(data)
    _check_versions(model)
    _check_contents(model)
    initial = {tensor.name for tensor in model.graph.initializer}
    initial |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    facts = OnnxFacts(
        inputs=tuple(_facts(value) for value in model.graph.input if value.name not in initial),
        outputs=tuple(_facts(value) for value in model.graph.output),
    )
    try:
        checker.check_model(data)
    except (checker.ValidationError, ValueError, RuntimeError) as error:
        raise OnnxRefused(f"onnx.checker refuses the model: {str(error)[:500]}") from error
    return facts


def _parse(data: bytes) -> Any:
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise OnnxRefused("the bytes are not an ONNX protocol buffer") from error
    if not model.graph.node or not model.graph.output:
        raise OnnxRefused("the bytes hold no graph with operators and outputs")
    size = model.ByteSize()
    model.DiscardUnknownFields()
    if model.ByteSize() != size:
        raise OnnxRefused("the file has fields that ONNX does not define")
    return model


def _check_versions(model: Any) -> None:
    if model.ir_version not in IR_VERSIONS:
        raise OnnxRefused(f"found IR version {model.ir_version}; accepted are {_span(IR_VERSIONS)}")
    imported = [(_domain(opset.domain), opset.version) for opset in model.opset_import]
    if len({domain for domain, _ in imported}) != len(imported):
        raise OnnxRefused("an operator set is imported twice")
    for domain, version in imported:
        if domain not in OPSETS:
            raise OnnxRefused(f"found operators of {domain[:80]!r}; accepted are those of {', '.join(OPSETS)}")
        if version not in OPSETS[domain]:
            raise OnnxRefused(f"found version {version} of {domain}; accepted are {_span(OPSETS[domain])}")


def _check_contents(model: Any) -> None:
    if model.functions or model.training_info:
        raise OnnxRefused("local functions and training parts are not accepted; export the plain graph")
    for part in _messages(model):
        match part:
            case onnx.NodeProto() if _domain(part.domain) not in OPSETS:
                raise OnnxRefused(f"operator {part.op_type[:80]} is of {part.domain[:80]!r}, which is not standard")
            case onnx.TensorProto() if part.data_location != onnx.TensorProto.DEFAULT or part.external_data:
                raise OnnxRefused(f"tensor {part.name[:80]!r} lies outside the file; put all data inside")
            case _:
                pass


def _messages(root: Message) -> Iterator[Message]:
    """All messages inside `root`, subgraphs and attributes included."""
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def _facts(value: Any) -> TensorFacts:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise OnnxRefused(f"{value.name[:80]!r} is a {kind}; inputs and outputs are tensors (skl2onnx: zipmap=False)")
    tensor = value.type.tensor_type
    if tensor.elem_type not in _DTYPES:
        raise OnnxRefused(f"{value.name[:80]!r} has element type {tensor.elem_type}, which is not a plain number")
    if not tensor.HasField("shape"):
        raise OnnxRefused(f"the rank of {value.name[:80]!r} is not stated; run onnx.shape_inference first")
    shape = tuple(
        dimension.dim_value if dimension.HasField("dim_value") else ANY_SIZE for dimension in tensor.shape.dim
    )
    return TensorFacts(value.name, _DTYPES[tensor.elem_type], shape)


def _domain(text: str) -> str:
    return text or "ai.onnx"


def _span(versions: range) -> str:
    return f"{versions.start} to {versions.stop - 1}"
