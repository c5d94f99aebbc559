"""A runtime folder as it stands: sealed with a manifest and a stamp, and known again by them.

The manifest lists every file with its sha256 and gives the digest; the stamp holds sizes and times
as the seal left them, so that an untouched folder is known without reading its files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import stat
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridnode.runtime.sources import FORMAT

INSIDE = "/rt"
_FIXED_MTIME = 315_532_800  # 1980-01-01 UTC, the same in every build


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


def load_if_unchanged(folder: Path) -> Runtime | None:
    """The runtime in a folder whose sizes and times are those of its stamp; None for any other.

    Marks it as used now.
    """
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


def load_if_intact(folder: Path) -> Runtime | None:
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
        if listed != set(files_under(folder)) - {"manifest.json", "stamp.json", "used"}:
            return None
        runtime = _from_manifest(folder, manifest)
        if runtime.digest != manifest["digest"]:
            return None
        _write_stamp(folder, manifest_bytes, sorted(listed))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return runtime


def seal(scratch: Path, *, interpreter: str, packages: tuple[tuple[str, str], ...]) -> None:
    """Makes a folder of copied files a runtime: modes and times set, manifest and stamp written."""
    names = sorted(files_under(scratch))
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
        "packages": packages,
        "digest": _digest(entries),
        "files": entries,
    }
    manifest_bytes = json.dumps(manifest, indent=1, sort_keys=True).encode()
    _write(scratch / "manifest.json", manifest_bytes)
    _write(scratch / "used", b"")
    for current, _, _ in os.walk(scratch):
        os.chmod(current, 0o755)  # noqa: S103 - read by jobs of other uids
    _write_stamp(scratch, manifest_bytes, names)


def files_under(folder: Path) -> Iterator[str]:
    """Paths of all files below, relative to the folder, in no order."""
    for current, _, files in os.walk(folder):
        for name in files:
            yield str((Path(current) / name).relative_to(folder))


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


def _write_stamp(folder: Path, manifest_bytes: bytes, names: list[str]) -> None:
    stamp = {
        "manifest": hashlib.sha256(manifest_bytes).hexdigest(),
        "files": _stamp_of(folder, names),
    }
    _write(folder / "stamp.new", json.dumps(stamp).encode())
    (folder / "stamp.new").rename(folder / "stamp.json")


def _stamp_of(folder: Path, names: list[str]) -> dict[str, list[int]]:
    stamp: dict[str, list[int]] = {}
    for name in names:
        found = os.lstat(folder / name)
        stamp[name] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode]
    return stamp


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    os.chmod(path, 0o644)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
