"""The model and the rows of the stories: which of four columns is the largest, as a model that anybody can check."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from opengrid import npy

COLUMNS = 4
ROWS = np.random.default_rng(7).random((40, COLUMNS), dtype=np.float32)
ROWS_PER_TASK = 10
LABELS = ROWS.argmax(axis=1)


def model():
    """`rows` to `label`, by ArgMax."""
    shapes = [
        helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", COLUMNS]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
    ]
    node = helper.make_node("ArgMax", ["rows"], ["label"], axis=1, keepdims=0)
    graph = helper.make_graph([node], "largest", shapes[:1], shapes[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def manifest(name, digest, size_bytes, key):
    """What a publisher with `key` signs for this model."""
    return {
        "format": "opengrid-model-v1",
        "name": name,
        "version": "1.0.0",
        "task": "classification",
        "files": [{"name": "model.onnx", "digest": digest, "size_bytes": size_bytes, "kind": "onnx"}],
        "inputs": [{"name": "rows", "dtype": "float32", "shape": [-1, COLUMNS]}],
        "outputs": [{"name": "label", "dtype": "int64", "shape": [-1]}],
        "licence": "CC-BY-4.0",
        "royalty_micro_per_task": 20,
        "created_at": "2026-11-21T12:00:00.000000Z",
        "publisher_key": key.public_text,
    }


def write(folder):
    """The files that the stories begin with: model.onnx and rows.npy."""
    (folder / "model.onnx").write_bytes(model())
    (folder / "rows.npy").write_bytes(npy.dump(ROWS))
