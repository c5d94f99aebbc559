"""Runs inside the sandbox as a program: one ONNX model over all rows of one array.

Says `PROGRESS <permille>` on stdout; a task it cannot do ends with exit code 3 and one line
`REFUSED <code> <text>` on stderr. Never reads or writes pickles.
"""
# ruff: noqa: T201 - a program whose output is its interface

import re
import sys
from typing import Any, NoReturn

import numpy as np
import onnxruntime as ort

BATCH_ROWS = 32
MODEL, INPUT, OUT = "/in/model.onnx", "/in/input.npy", "/out"
WRITABLE: dict[str, np.dtype[Any]] = {"tensor(int64)": np.dtype("<i8"), "tensor(float)": np.dtype("<f4")}


def refuse(code: str, text: object) -> NoReturn:
    """Say why on stderr, as the agent reads it, and end with status 3."""
    print(f"REFUSED {code} {' '.join(str(text).split())[:400]}", file=sys.stderr, flush=True)
    raise SystemExit(3)


def open_session() -> ort.InferenceSession:
    """Pinned options; BASIC, because higher levels pick layouts by CPU and change the last bits."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - ORT raises many private types
        refuse("model_invalid", error)


def read_rows() -> np.ndarray:
    """The input, mapped, not read: float32 with at least one row, or it is refused."""
    try:
        rows = np.load(INPUT, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        refuse("input_invalid", error)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32 or rows.ndim < 1:
        refuse("input_invalid", f"found {getattr(rows, 'dtype', type(rows))}, expected float32 rows")
    if len(rows) == 0:
        refuse("input_empty", "the input array has no rows")
    return rows


def file_names(session: ort.InferenceSession) -> list[str]:
    """One file name per output; refuses outputs that no plain array of a known type can hold."""
    names = []
    for output in session.get_outputs():
        if output.type not in WRITABLE:
            hint = "; export the classifier with zipmap=False" if output.type.startswith("seq") else ""
            refuse(
                "output_type",
                f"output {output.name!r} is {output.type}, only int64 and float tensors can be returned{hint}",
            )
        names.append(re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or "output")
    if len(set(names)) != len(names):
        refuse("output_names", f"output names are not distinct as file names: {names}")
    return names


def batch_rows(session: ort.InferenceSession) -> int:
    """How many rows the model takes at once: 1, or BATCH_ROWS where any number will do."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        found = [(entry.name, entry.type) for entry in inputs]
        refuse("model_inputs", f"found inputs {found}, expected one tensor(float)")
    first = inputs[0].shape[0] if inputs[0].shape else None
    if isinstance(first, int) and first not in (1, BATCH_ROWS):
        refuse("model_inputs", f"the model takes {first} rows at once, expected any number or 1")
    return 1 if first == 1 else BATCH_ROWS


def main() -> None:
    """Run the model over the input and write one array for each of its outputs."""
    ort.disable_telemetry_events()
    ort.set_default_logger_severity(4)
    session = open_session()
    names, size, rows = file_names(session), batch_rows(session), read_rows()
    source = session.get_inputs()[0].name
    parts: list[list[np.ndarray]] = [[] for _ in names]
    shown = 0
    for start in range(0, len(rows), size):
        batch = np.ascontiguousarray(rows[start : start + size])
        try:
            results: list[np.ndarray] = session.run(None, {source: batch})
        except Exception as error:  # noqa: BLE001 - as above
            refuse("run_failed", error)
        for name, part, result in zip(names, parts, results, strict=True):
            if result.ndim < 1 or len(result) != len(batch):
                refuse("output_rows", f"output {name} has shape {result.shape} for {len(batch)} rows")
            part.append(result)
        permille = min(len(rows), start + size) * 1000 // len(rows)
        if permille > shown:
            shown = permille
            print(f"PROGRESS {permille}", flush=True)
    for name, part, output in zip(names, parts, session.get_outputs(), strict=True):
        whole = np.ascontiguousarray(np.concatenate(part), dtype=WRITABLE[output.type])
        with open(f"{OUT}/{name}.npy", "xb") as file:
            np.lib.format.write_array(file, whole, version=(1, 0), allow_pickle=False)


if __name__ == "__main__":
    main()
