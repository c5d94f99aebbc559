"""Where a runtime's parts come from on this machine, and the key that changes when one of them does."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

from gridnode import libraries

FORMAT = 1
MODULES = ("numpy", "onnxruntime")


class RuntimeUnavailable(Exception):
    """No runtime folder can be offered. `code` is stable, the text says what would help."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


def recipe_key() -> str:
    """Names what goes into a build: versions, plus size and time of the files they come from.

    Raises: RuntimeUnavailable.
    """
    python = python_binary()
    loader = libraries.interpreter_of(python)
    needed = libraries.needed_by(python, loader=loader).values()
    sources = [_fingerprint(path) for path in (python, loader, stdlib() / "os.py", *needed)]
    packages = [[name, _version(name), _fingerprint(_module_folder(name) / "__init__.py")] for name in MODULES]
    inputs = [FORMAT, sys.version, sysconfig.get_platform(), sources, packages]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def python_binary() -> Path:
    """The real interpreter behind a venv, a pyenv shim or a symlink."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def stdlib() -> Path:
    """The folder of this interpreter's standard library."""
    return Path(os.__file__).resolve().parent


def imported_packages(python: Path) -> list[Path]:
    """The top-level packages that importing MODULES really loads from site-packages.

    Run with -S, so that no .pth file of the venv adds packages that jobs do not need.
    Raises: RuntimeUnavailable.
    """
    folders = sorted({str(_module_folder(name).parent) for name in MODULES})
    script = (
        "import json, sys; folders = json.loads(sys.argv[1]); sys.path += folders\n"
        "for name in json.loads(sys.argv[2]): __import__(name)\n"
        "files = [getattr(m, '__file__', None) for m in list(sys.modules.values())]\n"
        "print(json.dumps([f for f in files if f]))"
    )
    command = [str(python), "-I", "-S", "-B", "-c", script, json.dumps(folders), json.dumps(MODULES)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if listing.returncode != 0:
        raise RuntimeUnavailable("module_unimportable", listing.stderr.strip()[-2_000:])
    packages = {
        Path(folder) / Path(name).relative_to(folder).parts[0]
        for name in json.loads(listing.stdout.splitlines()[-1])
        for folder in folders
        if Path(name).is_relative_to(folder)
    }
    return sorted(packages)


def module_versions() -> tuple[tuple[str, str], ...]:
    """MODULES as they are installed here: (name, version). Raises: RuntimeUnavailable."""
    return tuple((name, _version(name)) for name in MODULES)


def _module_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise _missing(name)
    return Path(spec.origin).parent


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise _missing(name) from error


def _missing(name: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        "module_missing", f"the package {name} is not installed beside the agent; pip install 'gridnode[onnx]'"
    )


def _fingerprint(path: Path) -> list[object]:
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]
