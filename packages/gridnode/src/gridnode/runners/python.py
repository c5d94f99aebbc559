"""Runs one Python file: /in/main.py, its data in /in/inputs, its results in /out.

The interpreter ignores site-packages and the script's folder; the standard library and numpy can
be imported. INPUTS and OUT name the folders.
"""

from __future__ import annotations

from pathlib import Path

from gridnode.runners import interface
from gridnode.sandbox.spec import JobSpec, Limits

NAME = "python"


def required_inputs() -> tuple[str, ...]:
    """main.py; files below inputs/ are optional."""
    return ("main.py",)


def prepare(in_dir: Path, limits: Limits) -> JobSpec:
    """The job for a script; makes an empty inputs/ where there is none.

    Raises: TaskRefused (input_missing).
    """
    interface.require_files(in_dir, required_inputs())
    inputs = in_dir / "inputs"
    if inputs.is_symlink() or (inputs.exists() and not inputs.is_dir()):
        raise interface.TaskRefused("input_missing", "inputs must be a folder")
    inputs.mkdir(exist_ok=True)
    return JobSpec(
        command=("/rt/bin/python3", "-P", "-s", "-S", "-B", "/in/main.py"),
        limits=limits,
        env={"INPUTS": "/in/inputs", "OUT": "/out"},
    )
