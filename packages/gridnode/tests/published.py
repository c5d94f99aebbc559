"""A tiny real ONNX model, published and signed, and the arrays it runs on."""

import functools

import numpy as np
import onnx
from onnx import TensorProto, helper

from opengrid import keys, manifest, npy
from opengrid.messages import ModelRef
from packages.gridnode.tests.coordinator import Coordinator

PUBLISHER = keys.PrivateKey.generate()


@functools.cache
def model_bytes() -> bytes:
    """y = 2 x + 1 over rows of four numbers."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["twice"]), helper.make_node("Add", ["twice", "one"], ["y"])],
        "line",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])],
        [
            helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def model_ref(grid: Coordinator) -> ModelRef:
    """The model as the coordinator hands it out; its file can be fetched."""
    blob = grid.add_blob(model_bytes(), "model.onnx")
    stated = manifest.Manifest(
        name="line",
        version="1.0.0",
        task="regression",
        files=(
            manifest.ManifestFile(
                name="model.onnx", digest=blob.digest, size_bytes=blob.size_bytes, kind=manifest.FileKind.ONNX
            ),
        ),
        inputs=(manifest.Tensor(name="x", dtype="float32", shape=(-1, 4)),),
        outputs=(manifest.Tensor(name="y", dtype="float32", shape=(-1, 4)),),
        licence="CC-BY-4.0",
        royalty_micro_per_task=0,
        created_at="2026-11-21T12:00:00.000000Z",
        publisher_key=PUBLISHER.public_text,
    )
    text, signature = manifest.sign_manifest(PUBLISHER, stated)
    return ModelRef(version_id=1, manifest=text, signature=signature, publisher_key=PUBLISHER.public_text)


def rows(count: int = 70) -> bytes:
    """An input array."""
    return npy.dump(np.arange(count * 4, dtype=np.float32).reshape(count, 4))


def expected(count: int = 70) -> np.ndarray:
    """What the model makes of it."""
    return np.arange(count * 4, dtype=np.float32).reshape(count, 4) * 2 + 1
