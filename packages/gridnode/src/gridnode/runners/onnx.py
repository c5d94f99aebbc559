"""Runs an ONNX model over rows: /in/model.onnx and /in/input.npy to one /out/<name>.npy each.

Everything that changes the last bits of a result is pinned in the driver: CPU provider, one
thread, sequential execution, optimisation level, batches of 32 rows.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gridnode.runners import interface
from gridnode.sandbox.spec import JobSpec, Limits

NAME = "onnx"
DRIVER = "/drv/onnx_driver.py"


def required_inputs() -> tuple[str, ...]:
    """model.onnx; input.npy holds a float32 array whose first axis are the rows."""
    return ("model.onnx", "input.npy")


def prepare(in_dir: Path, limits: Limits) -> JobSpec:
    """The job for a model and its input. Raises: TaskRefused (input_missing)."""
    interface.require_files(in_dir, required_inputs())
    driver = resources.files("gridnode.runners").joinpath("onnx_driver.py").read_bytes()
    return JobSpec(
        command=("/rt/bin/python3", "-P", "-s", "-S", "-B", DRIVER),
        limits=limits,
        files={DRIVER: driver},
    )
