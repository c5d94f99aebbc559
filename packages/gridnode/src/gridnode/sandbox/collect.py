"""Takes a finished job's files over without trusting a single name, type or link among them.

Runs only after the job's whole namespace is dead. Walks by descriptor, follows no link, opens
nothing that could block, copies bytes into new files of fixed mode and hashes what it copied.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from gridnode.sandbox.spec import Limits, OutputFile, Rejection

MAX_DEPTH = 8
MAX_NAME_BYTES = 128
MAX_REJECTIONS = 100
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Collected:
    """Files now in the target folder, and what was refused with typed codes: bad_name, too_deep,
    not_regular, hard_link, unreadable, file_changed, file_too_large, too_many_files,
    too_many_bytes, too_many_rejections. Files and folders are visited in the order of names."""

    files: tuple[OutputFile, ...]
    rejected: tuple[Rejection, ...]


@dataclass(slots=True)
class _Walk:
    target: Path
    limits: Limits
    files: list[OutputFile] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    total_bytes: int = 0
    entries: int = 0
    stopped: bool = False

    def refuse(self, code: str, path: str) -> None:
        self.rejected.append(Rejection(code, printable(path)))
        if len(self.rejected) >= MAX_REJECTIONS:
            self.rejected.append(Rejection("too_many_rejections", ""))
            self.stopped = True

    def stop(self, code: str, path: str) -> None:
        self.refuse(code, path)
        self.stopped = True


def collect(source_fd: int, target: Path, limits: Limits) -> Collected:
    """Copies the plain files below the folder `source_fd` to `target` (made if missing, mode 0755;
    files 0644). The target must be the agent's own and empty. Raises: FileExistsError, OSError."""
    target.mkdir(parents=True, exist_ok=True, mode=0o755)
    if any(target.iterdir()):
        raise FileExistsError(f"the output folder {target} is not empty")
    walk = _Walk(target, limits)
    _visit(walk, source_fd, "", depth=1)
    return Collected(tuple(walk.files), tuple(walk.rejected))


def printable(path: str) -> str:
    """The path with everything that could act on a terminal or log escaped, cut to 256."""
    return path.encode("unicode_escape", "surrogatepass").decode("ascii")[:256]


def name_is_safe(name: str) -> bool:
    """Whether a single name is plain enough to be written on this machine and sent on."""
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as surrogates
        return False
    if not encoded or len(encoded) > MAX_NAME_BYTES or name in (".", ".."):
        return False
    return not any(
        character in "/\\" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        for character in name
    )


def _visit(walk: _Walk, folder_fd: int, prefix: str, *, depth: int) -> None:
    names = []
    with os.scandir(folder_fd) as entries:
        for entry in entries:
            walk.entries += 1
            if walk.entries > walk.limits.output_files * 2 + MAX_REJECTIONS:
                walk.stop("too_many_files", prefix)
                return
            names.append(entry.name)
    for name in sorted(names):
        if walk.stopped:
            return
        path = f"{prefix}{name}"
        if not name_is_safe(name):
            walk.refuse("bad_name", path)
            continue
        try:
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            is_folder = stat.S_ISDIR(found.st_mode)
            if is_folder and depth >= MAX_DEPTH:
                walk.refuse("too_deep", path)
                continue
            if not is_folder and not stat.S_ISREG(found.st_mode):
                walk.refuse("not_regular", path)
                continue
            inner = os.open(name, _FOLDER if is_folder else _READ, dir_fd=folder_fd)
        except OSError:
            walk.refuse("unreadable", path)
            continue
        try:
            if is_folder:
                _visit(walk, inner, f"{path}/", depth=depth + 1)
            else:
                _take(walk, inner, path)
        finally:
            os.close(inner)


def _take(walk: _Walk, source: int, path: str) -> None:
    found = os.fstat(source)
    if not stat.S_ISREG(found.st_mode):
        walk.refuse("not_regular", path)
    elif found.st_nlink != 1:
        walk.refuse("hard_link", path)
    elif found.st_size > walk.limits.file_bytes:
        walk.refuse("file_too_large", path)
    elif len(walk.files) >= walk.limits.output_files:
        walk.stop("too_many_files", path)
    elif walk.total_bytes + found.st_size > walk.limits.output_bytes:
        walk.stop("too_many_bytes", path)
    else:
        _copy(walk, source, path, found.st_size)


def _copy(walk: _Walk, source: int, path: str, size: int) -> None:
    target = walk.target / path
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    digest, copied = hashlib.sha256(), 0
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        while copied <= size and (chunk := os.read(source, min(_CHUNK, size + 1 - copied))):
            copied += len(chunk)
            digest.update(chunk)
            file.write(chunk)
        os.fchmod(file.fileno(), 0o644)
    if copied != size:
        target.unlink()
        walk.refuse("file_changed", path)
        return
    walk.total_bytes += size
    walk.files.append(OutputFile(path, size, digest.hexdigest()))
