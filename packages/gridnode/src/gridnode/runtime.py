"""Builds the read-only runtime folder that jobs see as /rt: interpreter, stdlib, numpy, ONNX Runtime.

It is self-contained (own shared libraries and loader), so a sandbox needs nothing of the host's
/usr. The folder is built once beside the node's data, under a lock, and renamed into place; later
starts only compare a stamp of sizes and times. `Runtime.digest` names what jobs really run on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import py_compile
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gridnode import libraries

FORMAT = 1
MODULES = ("numpy", "onnxruntime")
INSIDE = "/rt"
KEEP_UNUSED_SECONDS = 30 * 86_400
_FIXED_MTIME = 315_532_800  # 1980-01-01 UTC, the same in every build
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


class RuntimeUnavailable(Exception):
    """No runtime folder can be offered. `code` is stable, the text says what would help."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Runtime:
    """A complete runtime folder.

    `digest` is the sha256 over the sorted manifest (path, mode, size, sha256 of every file but
    bytecode, whose marshalled form is not reproducible). `interpreter` is the PT_INTERP path at
    which the loader must appear inside. `packages` holds (name, version) pairs.
    """

    path: Path
    digest: str
    python_version: str
    interpreter: str
    packages: tuple[tuple[str, str], ...]


def default_root() -> Path:
    """Where runtimes live when the operator names no place: /var/lib/gridnode for root (so that
    sandbox uids can reach it), the user's data folder otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/gridnode/runtime")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "gridnode" / "runtime"


def ensure_runtime(dest_root: Path | None = None) -> Runtime:
    """The runtime for this interpreter and these package versions, built if it is not there yet.

    Takes milliseconds when it exists (sizes and times of all files are compared with the stamp of
    the build; any difference leads to a full check of hashes, and then to a new build). Several
    agents may call it at once. Raises: RuntimeUnavailable.
    """
    root = (dest_root or default_root()).absolute()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o755)
    except OSError as error:
        raise RuntimeUnavailable("runtime_root_unwritable", f"cannot create {root}: {error}") from error
    _require_reachable(root)
    folder = root / f"runtime-{_recipe_key()[:24]}"
    if runtime := _load_if_unchanged(folder):
        return runtime
    with _locked(root):
        runtime = _load_if_unchanged(folder) or _load_if_intact(folder)
        if runtime is None:
            _clear_leftovers(root, keep=folder)
            _build(root, folder)
            runtime = _load_if_unchanged(folder)
    if runtime is None:
        raise RuntimeUnavailable("runtime_unstable", f"{folder} changed while it was being built")
    return runtime


def require_reachable(path: Path) -> None:
    """Raise PermissionError unless every folder down to `path` lets any user pass (mode o+x)."""
    for folder in [path, *path.parents]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            raise PermissionError(f"{folder} cannot be passed by other users (mode lacks o+x)")


def _require_reachable(root: Path) -> None:
    if os.geteuid() != 0:
        return
    try:
        require_reachable(root)
    except PermissionError as error:
        raise RuntimeUnavailable(
            "runtime_root_untraversable",
            f"{error}; jobs run as unprivileged uids, choose a folder such as {default_root()}",
        ) from error


# --- identity and cheap checks -------------------------------------------------------------


def _recipe_key() -> str:
    """Names what goes into a build: versions, plus size and time of the files they come from."""
    python = _python_binary()
    loader = libraries.interpreter_of(python)
    needed = libraries.needed_by(python, loader=loader).values()
    sources = [_fingerprint(path) for path in (python, loader, _stdlib() / "os.py", *needed)]
    packages = [[name, _version(name), _fingerprint(_module_folder(name) / "__init__.py")] for name in MODULES]
    inputs = [FORMAT, sys.version, sysconfig.get_platform(), sources, packages]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _fingerprint(path: Path) -> list[object]:
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]


def _stamp_of(folder: Path, names: list[str]) -> dict[str, list[int]]:
    stamp: dict[str, list[int]] = {}
    for name in names:
        found = os.lstat(folder / name)
        stamp[name] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode]
    return stamp


def _load_if_unchanged(folder: Path) -> Runtime | None:
    try:
        if folder.stat().st_uid not in (0, os.geteuid()):
            return None
        stamp = json.loads((folder / "stamp.json").read_bytes())
        manifest_bytes = (folder / "manifest.json").read_bytes()
        if stamp["manifest"] != hashlib.sha256(manifest_bytes).hexdigest():
            return None
        if _stamp_of(folder, list(stamp["files"])) != stamp["files"]:
            return None
        runtime = _from_manifest(folder, json.loads(manifest_bytes))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OSError):  # a root-owned runtime may be used by others read-only
        os.utime(folder / "used")
    return runtime


def _load_if_intact(folder: Path) -> Runtime | None:
    """Full check by sha256, for a folder that was copied or restored; renews its stamp."""
    try:
        manifest_bytes = (folder / "manifest.json").read_bytes()
        manifest = json.loads(manifest_bytes)
        for entry in manifest["files"]:
            path = folder / entry["path"]
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != entry["mode"]:
                return None
            if found.st_size != entry["size"] or _sha256(path) != entry["sha256"]:
                return None
        listed = {entry["path"] for entry in manifest["files"]}
        if listed != set(_files_under(folder)) - {"manifest.json", "stamp.json", "used"}:
            return None
        runtime = _from_manifest(folder, manifest)
        if runtime.digest != manifest["digest"]:
            return None
        _write_stamp(folder, manifest_bytes, sorted(listed))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return runtime


def _from_manifest(folder: Path, manifest: dict[str, Any]) -> Runtime:
    return Runtime(
        path=folder,
        digest=_digest(manifest["files"]),
        python_version=manifest["python_version"],
        interpreter=manifest["interpreter"],
        packages=tuple((name, version) for name, version in manifest["packages"]),
    )


def _digest(entries: list[dict[str, Any]]) -> str:
    total = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: str(entry["path"])):
        if not entry["path"].endswith(".pyc"):
            line = f"{entry['path']}\0{entry['mode']:o}\0{entry['size']}\0{entry['sha256']}\n"
            total.update(line.encode())
    return total.hexdigest()


# --- the build -----------------------------------------------------------------------------


def _build(root: Path, folder: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=".build-", dir=root))
    try:
        python = _python_binary()
        loader = libraries.interpreter_of(python)
        _copy(python, scratch / "bin" / "python3", executable=True)
        _copy_tree(_stdlib(), _stdlib_inside(scratch), left_out=_STDLIB_LEFT_OUT)
        for source in _imported_packages(python):
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
        _finish(scratch, interpreter=str(loader))
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    except (OSError, libraries.NotAnElfProgram, subprocess.SubprocessError) as error:
        raise RuntimeUnavailable("runtime_build_failed", str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _finish(scratch: Path, *, interpreter: str) -> None:
    names = sorted(_files_under(scratch))
    entries = []
    for name in names:
        path = scratch / name
        os.utime(path, (_FIXED_MTIME, _FIXED_MTIME))
        found = path.stat()
        entries.append(
            {
                "path": name,
                "mode": stat.S_IMODE(found.st_mode),
                "size": found.st_size,
                "sha256": _sha256(path),
            }
        )
    manifest = {
        "format": FORMAT,
        "python_version": platform.python_version(),
        "platform": sysconfig.get_platform(),
        "interpreter": interpreter,
        "packages": [[name, _version(name)] for name in MODULES],
        "digest": _digest(entries),
        "files": entries,
    }
    manifest_bytes = json.dumps(manifest, indent=1, sort_keys=True).encode()
    _write(scratch / "manifest.json", manifest_bytes)
    _write(scratch / "used", b"")
    for current, _, _ in os.walk(scratch):
        os.chmod(current, 0o755)  # noqa: S103 - read by jobs of other uids
    _write_stamp(scratch, manifest_bytes, names)


def _write_stamp(folder: Path, manifest_bytes: bytes, names: list[str]) -> None:
    stamp = {
        "manifest": hashlib.sha256(manifest_bytes).hexdigest(),
        "files": _stamp_of(folder, names),
    }
    _write(folder / "stamp.new", json.dumps(stamp).encode())
    (folder / "stamp.new").rename(folder / "stamp.json")


def _imported_packages(python: Path) -> list[Path]:
    """The top-level packages that importing MODULES really loads from site-packages.

    Run with -S, so that no .pth file of the venv adds packages that jobs do not need.
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


def _copy_libraries(scratch: Path, *, python: Path, loader: Path) -> None:
    """Copies into libs/ every shared library that a file of the runtime needs from the host.

    Libraries that wheels bundle stay where their $ORIGIN paths expect them. A stdlib extension
    whose library is missing on this machine is left out, as it cannot be imported there either.
    """
    wanted: dict[str, Path] = dict(libraries.needed_by(python, loader=loader))
    for name in sorted(_files_under(scratch)):
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
    for name in sorted(_files_under(scratch)):
        if not name.endswith(".py"):
            continue
        with contextlib.suppress(py_compile.PyCompileError):  # it would fail on import as well
            cache = py_compile.compile(
                str(scratch / name),
                dfile=f"{INSIDE}/{name}",
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


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.chmod(path, 0o644)


# --- where things come from ------------------------------------------------------------------


def _python_binary() -> Path:
    """The real interpreter behind a venv, a pyenv shim or a symlink."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def _stdlib() -> Path:
    return Path(os.__file__).resolve().parent


def _stdlib_inside(scratch: Path) -> Path:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return scratch / sys.platlibdir / version


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


def _files_under(folder: Path) -> Iterator[str]:
    for current, _, files in os.walk(folder):
        for name in files:
            yield str((Path(current) / name).relative_to(folder))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _clear_leftovers(root: Path, *, keep: Path) -> None:
    """Removes broken builds, and runtimes that nobody has started with for a month."""
    for path in root.iterdir():
        unfinished = path.name.startswith(".build-")
        if path.name.startswith("runtime-") and path != keep:
            with contextlib.suppress(FileNotFoundError):
                unfinished = time.time() - (path / "used").stat().st_mtime > KEEP_UNUSED_SECONDS
        if unfinished:
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    with (root / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
