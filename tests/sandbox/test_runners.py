"""The runners in the real sandbox, with real models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from gridnode import runners
from gridnode.runners import interface
from gridnode.sandbox.spec import Limits, Outcome, Reason
from tests.sandbox.arena import Arena

LIMITS = Limits(wall_seconds=60, memory_mib=512)


def _linear_model(path: Path, *, rows: int | str = "rows", label_name: str = "label") -> None:
    """A linear classifier: float32 [rows, 4] to scores [rows, 3] and int64 labels [rows]."""
    weights = np.random.default_rng(7).normal(size=(4, 3)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], [label_name], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [rows, 3]),
            helper.make_tensor_value_info(label_name, TensorProto.INT64, [rows]),
        ],
        [helper.make_tensor("weights", TensorProto.FLOAT, (4, 3), weights.ravel())],
    )
    _save(graph, path)


def _map_model(path: Path) -> None:
    """What sklearn's exporter adds by default: probabilities as a sequence of maps (ZipMap)."""
    node = helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2, 3])
    maps = helper.make_sequence_type_proto(
        helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    )
    graph = helper.make_graph(
        [node],
        "maps",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_value_info("probabilities", maps)],
    )
    _save(graph, path)


def _save(graph: Any, path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def _rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)


def _run(arena: Arena, name: str, files: dict[str, Any], on_tail: Any = None) -> tuple[Outcome, Path]:
    in_dir, out_dir = arena.folders()
    for file, content in files.items():
        (in_dir / file).parent.mkdir(exist_ok=True)
        if callable(content):
            content(in_dir / file)
        elif isinstance(content, np.ndarray):
            np.save(in_dir / file, content, allow_pickle=content.dtype == object)
        else:
            (in_dir / file).write_bytes(content)
    spec = runners.by_name(name).prepare(in_dir, LIMITS)
    return arena.sandbox.run(spec, in_dir, out_dir, on_tail), out_dir


def test_a_model_gives_the_same_labels_as_a_direct_run_of_its_file(arena: Arena, tmp_path: Path) -> None:
    rows = _rows(75)  # two full batches and a smaller one
    _linear_model(tmp_path / "model.onnx")

    outcome, out_dir = _run(arena, "onnx", {"model.onnx": _linear_model, "input.npy": rows})

    assert outcome.succeeded, outcome.stderr
    assert [file.path for file in outcome.files] == ["label.npy", "scores.npy"]
    direct = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    scores, labels = direct.run(None, {"x": rows})
    found = np.load(out_dir / "label.npy", allow_pickle=False)
    assert found.dtype == np.int64
    assert (found == labels).all()
    assert np.abs(np.load(out_dir / "scores.npy", allow_pickle=False) - scores).max() < 1e-5
    assert interface.progress(outcome.stdout) == 1000


def test_the_same_task_gives_the_same_bytes_twice(arena: Arena) -> None:
    files = {"model.onnx": _linear_model, "input.npy": _rows(40)}

    first, _ = _run(arena, "onnx", files)
    second, _ = _run(arena, "onnx", files)

    assert [file.sha256 for file in first.files] == [file.sha256 for file in second.files]
    assert first.files


def test_a_model_for_single_rows_is_run_row_by_row(arena: Arena) -> None:
    def model(path: Path) -> None:
        _linear_model(path, rows=1)

    outcome, out_dir = _run(arena, "onnx", {"model.onnx": model, "input.npy": _rows(5)})

    assert outcome.succeeded, outcome.stderr
    assert np.load(out_dir / "label.npy", allow_pickle=False).shape == (5,)


def test_output_names_become_plain_file_names(arena: Arena) -> None:
    def model(path: Path) -> None:
        _linear_model(path, label_name="../../etc/label:0")

    outcome, _ = _run(arena, "onnx", {"model.onnx": model, "input.npy": _rows(3)})

    assert sorted(file.path for file in outcome.files) == ["______etc_label_0.npy", "scores.npy"]


def test_outputs_that_are_maps_are_refused_with_the_remedy(arena: Arena) -> None:
    outcome, _ = _run(arena, "onnx", {"model.onnx": _map_model, "input.npy": _rows(3)})

    refusal = interface.refusal(outcome)
    assert outcome.reason is Reason.NONZERO_EXIT
    assert refusal is not None
    assert refusal.code == "output_type"
    assert "zipmap=False" in refusal.text


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"model.onnx": b"no model at all", "input.npy": _rows(3)}, "model_invalid"),
        ({"model.onnx": lambda path: _linear_model(path, rows=7), "input.npy": _rows(7)}, "model_inputs"),
        ({"model.onnx": _linear_model, "input.npy": b"no array"}, "input_invalid"),
        ({"model.onnx": _linear_model, "input.npy": _rows(3).astype(np.float64)}, "input_invalid"),
        ({"model.onnx": _linear_model, "input.npy": np.array([{"a": 1}], dtype=object)}, "input_invalid"),
        ({"model.onnx": _linear_model, "input.npy": _rows(3)[:0]}, "input_empty"),
        ({"model.onnx": _linear_model, "input.npy": _rows(3)[:, :2]}, "run_failed"),
    ],
)
def test_bad_files_are_refused_with_a_typed_code(arena: Arena, files: dict[str, Any], code: str) -> None:
    outcome, _ = _run(arena, "onnx", files)

    refusal = interface.refusal(outcome)
    assert refusal is not None, outcome
    assert refusal.code == code
    assert outcome.files == ()


def test_a_script_uses_numpy_and_its_inputs_and_reports_progress(arena: Arena) -> None:
    script = b"""
import os, time
import numpy
print("PROGRESS 500", flush=True)
values = numpy.loadtxt(os.environ["INPUTS"] + "/values.txt")
numpy.save(os.environ["OUT"] + "/sum.npy", numpy.array([values.sum()]))
time.sleep(0.3)
print("PROGRESS 1000", flush=True)
"""
    tails: list[bytes] = []

    outcome, out_dir = _run(arena, "python", {"main.py": script, "inputs/values.txt": b"1 2 3"}, tails.append)

    assert outcome.succeeded, outcome.stderr
    assert np.load(out_dir / "sum.npy", allow_pickle=False).tolist() == [6.0]
    assert 500 in [interface.progress(tail) for tail in tails]


def test_a_script_sees_no_other_packages_and_a_fixed_hash_seed(arena: Arena) -> None:
    script = b"""
import sys
for name in ("pip", "psutil", "gridnode", "site"):
    if name in sys.modules: print("LOADED", name)
for name in ("pip", "psutil", "gridnode", "helper"):
    try: __import__(name); print("FOUND", name)
    except ImportError: pass
print(hash("seed"), sys.path)
"""

    first, _ = _run(arena, "python", {"main.py": script, "helper.py": b""})
    second, _ = _run(arena, "python", {"main.py": script})

    assert first.stdout == second.stdout
    assert b"FOUND" not in first.stdout
    assert b"LOADED" not in first.stdout
    assert b"'/rt/site'" in first.stdout
