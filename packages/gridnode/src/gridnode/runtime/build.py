"""The build of a runtime folder: interpreter, stdlib, packages and every library they need, copied."""

from __future__ import annotations

import contextlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gridnode import libraries
from gridnode.runtime import folder, sources

_STDLIB_LEFT_OUT = frozenset({
    "test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "venv",
    "pydoc_data", "msilib", "site-packages", "dist-packages", "__pycache__", "sitecustomize.py",
    "usercustomize.py", "EXTERNALLY-MANAGED", "__phello__",
})  # fmt: skip
_EXTENSIONS_LEFT_OUT = ("_tkinter.", "_test", "_xx", "xx", "_ctypes_test.", "readline.")
_PACKAGES_LEFT_OUT = {
    "numpy": frozenset({"f2py", "include", "_pyinstaller"}),
    "onnxruntime": frozenset({"transformers", "quantization", "tools", "datasets", "backend"}),
}
_ALWAYS_LEFT_OUT = frozenset({"__pycache__", "tests"})
_ALWAYS_LIBRARIES = ("libgcc_s.so.1",)  # dlopen()ed by glibc when a thread is cancelled


def build(root: Path, target: Path) -> None:
    """Builds beside `target` and renames it into place, over what was there. Raises: RuntimeUnavailable."""
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=root))
    try:
        python = sources.python_binary()
        loader = libraries.interpreter_of(python)
        _copy(python, scratch / "bin" / "python3", executable=True)
        _copy_tree(sources.stdlib(), _stdlib_inside(scratch), left_out=_STDLIB_LEFT_OUT)
        for source in sources.imported_packages(python):
            if source.is_dir():
                left_out = _ALWAYS_LEFT_OUT | _PACKAGES_LEFT_OUT.get(source.name, frozenset())
                _copy_tree(source, scratch / "site" / source.name, left_out=left_out)
                bundled = source.with_name(f"{source.name}.libs")  # where wheels put their libraries
                if bundled.is_dir():
                    _copy_tree(bundled, scratch / "site" / bundled.name, left_out=frozenset())
            else:
                _copy(source, scratch / "site" / source.name)
        _copy_libraries(scratch, python=python, loader=loader)
        _compile(scratch)
        folder.seal(scratch, interpreter=str(loader), packages=sources.module_versions())
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    except (OSError, libraries.NotAnElfProgram, subprocess.SubprocessError) as error:
        raise sources.RuntimeUnavailable("runtime_build_failed", str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _copy_libraries(scratch: Path, *, python: Path, loader: Path) -> None:
    """Copies into libs/ every shared library that a file of the runtime needs from the host.

    Libraries that wheels bundle stay where their $ORIGIN paths expect them. A stdlib extension
    whose library is missing on this machine is left out, as it cannot be imported there either.
    """
    wanted: dict[str, Path] = dict(libraries.needed_by(python, loader=loader))
    for name in sorted(folder.files_under(scratch)):
        path = scratch / name
        if ".so" not in path.name or not libraries.is_elf(path):
            continue
        try:
            found = libraries.needed_by(path, loader=loader)
        except libraries.LibraryNotFound:
            if "lib-dynload" not in path.parts:
                raise
            path.unlink()
            continue
        own = scratch.resolve()
        wanted.update({soname: at for soname, at in found.items() if not at.resolve().is_relative_to(own)})
    for soname in _ALWAYS_LIBRARIES:
        beside = wanted.get("libc.so.6", loader).resolve().with_name(soname)
        if soname not in wanted and beside.is_file():
            wanted[soname] = beside
    for soname, source in sorted(wanted.items()):
        _copy(source, scratch / "libs" / soname, executable=True)
    _copy(loader, scratch / "libs" / loader.name, executable=True)


def _compile(scratch: Path) -> None:
    """Bytecode with unchecked hashes: the runtime never changes, so imports need no stat of times."""
    for name in sorted(folder.files_under(scratch)):
        if not name.endswith(".py"):
            continue
        with contextlib.suppress(py_compile.PyCompileError):  # it would fail on import as well
            cache = py_compile.compile(
                str(scratch / name),
                dfile=f"{folder.INSIDE}/{name}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
            if cache:
                os.chmod(cache, 0o644)


def _copy_tree(source: Path, target: Path, *, left_out: frozenset[str]) -> None:
    for current, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name not in left_out and not name.startswith("config-")]
        inside = target / Path(current).relative_to(source)
        for name in files:
            if name in left_out or name.endswith((".pyc", ".pyi", ".a", ".h", ".pxd")):
                continue
            if name.endswith(".so") and name.startswith(_EXTENSIONS_LEFT_OUT):
                continue
            origin = Path(current) / name
            if origin.is_file():
                _copy(origin, inside / name)


def _copy(source: Path, target: Path, *, executable: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if executable else 0o644)


def _stdlib_inside(scratch: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return scratch / sys.platlibdir / version
