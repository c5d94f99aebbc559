"""The job's /out: a file system of its own with a hard size, read afterwards through a descriptor.

Root mounts one per job on the host (tmpfs with an inode limit, or a loop-mounted ext4 when it is
too large to keep in memory). An ordinary user gets a tmpfs of bubblewrap's inside the job's mount
namespace: the agent opens it through /proc/<init>/root before the job starts, and that descriptor
keeps it alive after the namespace is gone. There the size is hard, the number of files sampled.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol

from gridnode.sandbox.spec import JobRefused, Limits, Reason, SandboxUnavailable

IN_MEMORY_BYTES = 256 << 20
READY_SECONDS = 10.0
_SPARE_FOLDERS = 32
_SLACK_PAGES = 64
_PAGE = 4096
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


class OutDir(Protocol):
    """One job's /out. Life: options, open (namespace ready), close. `hard_files`: the number of
    files cannot be exceeded; `in_memory`: what it holds counts as the job's memory."""

    hard_files: bool
    in_memory: bool
    fd: int

    def options(self) -> list[str]:
        """bwrap options that put it at /out."""

    def open(self, init_pid: int) -> None:
        """Opens the folder as `fd`. `init_pid` is the namespace's first process, held at the
        start signal. Raises: SandboxUnavailable."""

    def close(self) -> None:
        """Gives it back with all it holds; harmless when called twice."""


class Mounted:
    """Root's: a file system mounted at `point` on the host, owned by the job's uid."""

    hard_files = True

    def __init__(self, point: Path, limits: Limits, uid: int) -> None:
        self.fd = -1
        self._point = point
        self._image: Path | None = None
        point.mkdir()
        inodes = limits.output_files + _SPARE_FOLDERS + 1
        self.in_memory = _in_memory(limits)
        if self.in_memory:
            _mount_tmpfs(point, f"size={_size(limits)},nr_inodes={inodes},uid={uid},gid={uid}")
        else:
            self._image = point.with_name("out.ext4")
            _mount_loop(self._image, point, _size(limits), inodes, uid)

    def options(self) -> list[str]:
        return ["--bind", str(self._point), "/out"]

    def open(self, init_pid: int) -> None:
        del init_pid
        self.fd = os.open(self._point, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        _close(self)
        unmount(self._point)
        if self._image is not None:
            self._image.unlink(missing_ok=True)
            self._image = None


class Private:
    """An ordinary user's: a tmpfs in the job's own mount namespace."""

    hard_files = False
    in_memory = True

    def __init__(self, limits: Limits) -> None:
        self.fd = -1
        self._limits = limits

    def options(self) -> list[str]:
        return ["--size", str(_size(self._limits)), "--tmpfs", "/out"]

    def open(self, init_pid: int) -> None:
        self.fd = open_inside(init_pid, "out")

    def close(self) -> None:
        _close(self)


def require_possible(limits: Limits, *, root: bool) -> None:
    """Raise JobRefused (output_too_large) if this agent cannot offer an /out of that size."""
    if root and _in_memory(limits):
        return
    if not root and limits.output_bytes > IN_MEMORY_BYTES:
        raise JobRefused(
            "output_too_large",
            f"output_bytes is {limits.output_bytes}; an agent without root offers up to {IN_MEMORY_BYTES}",
        )
    if root and (_program("mkfs.ext4") is None or _program("mount") is None):
        raise JobRefused(
            "output_too_large",
            f"outputs of {limits.output_bytes} bytes need mkfs.ext4 and mount on the node (package e2fsprogs)",
        )


def open_inside(init_pid: int, folder: str) -> int:
    """Opens a folder of the new root as soon as bwrap has finished building it.

    Before its last pivot the process still has the host's root, or a staging one without the
    folder. Raises: SandboxUnavailable after `READY_SECONDS`.
    """
    deadline = time.monotonic() + READY_SECONDS
    host = os.stat("/").st_dev
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        problem = "it is still being set up"
        try:
            root = os.open(f"/proc/{init_pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if os.fstat(root).st_dev != host:
                    return os.open(folder, flags, dir_fd=root)
            finally:
                os.close(root)
        except OSError as error:
            problem = str(error)
        if time.monotonic() > deadline or _has_ended(init_pid):
            raise SandboxUnavailable("namespace_unreachable", f"/{folder}: {problem}")
        time.sleep(0.0005)


def _has_ended(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return True
    return text[text.rindex(")") + 2] in "ZX"


def bytes_used(fd: int) -> int:
    """Bytes held by the file system behind `fd`, unlinked open files included."""
    found = os.fstatvfs(fd)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def files_used(fd: int) -> int:
    """Inodes in use in the file system behind `fd`, its root folder included."""
    found = os.fstatvfs(fd)
    return found.f_files - found.f_ffree


def violation(out: OutDir, limits: Limits) -> Reason | None:
    """The limit that /out has reached, if any."""
    found = os.fstatvfs(out.fd)
    if found.f_blocks and found.f_bfree == 0:
        return Reason.DISK_QUOTA
    if files_used(out.fd) > limits.output_files + _SPARE_FOLDERS or found.f_ffree == 0:
        return Reason.FILE_COUNT
    return None


def unmount(point: Path) -> None:
    """Unmounts `point` if something is mounted there. Raises: SandboxUnavailable if it stays."""
    deadline = time.monotonic() + 2.0
    while os.path.ismount(point):
        error = _umount2(point, _UMOUNT_NOFOLLOW)
        if error and time.monotonic() > deadline:
            error = _umount2(point, _MNT_DETACH | _UMOUNT_NOFOLLOW)
            if error:
                raise SandboxUnavailable("unmount_failed", f"{point}: {os.strerror(error)}")
        if error:
            time.sleep(0.005)


def _in_memory(limits: Limits) -> bool:
    """Whether the outputs may be kept in memory, where they count as the job's."""
    return limits.output_bytes <= min(IN_MEMORY_BYTES, limits.memory_bytes // 2)


def _program(name: str) -> str | None:
    return shutil.which(name, path=_SBIN)


def _size(limits: Limits) -> int:
    """Bytes of the file system: the quota in whole pages, and a page for each of a few files."""
    pages = -(-limits.output_bytes // _PAGE) + min(limits.output_files, _SLACK_PAGES)
    return pages * _PAGE


def _close(out: Mounted | Private) -> None:
    if out.fd >= 0:
        os.close(out.fd)
        out.fd = -1


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount_tmpfs(point: Path, options: str) -> None:
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    data = f"mode=0700,{options}".encode()
    if _libc().mount(b"gridnode", os.fsencode(point), b"tmpfs", flags, data) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise SandboxUnavailable("mount_failed", f"tmpfs for outputs at {point}: {reason}")


def _mount_loop(image: Path, point: Path, size: int, inodes: int, uid: int) -> None:
    mkfs, mount = _program("mkfs.ext4"), _program("mount")
    if mkfs is None or mount is None:
        raise SandboxUnavailable("mount_failed", "mkfs.ext4 or mount has disappeared from this machine")
    overhead = (16 << 20) + size // 32  # ext4's own tables; the collector keeps the exact limit
    with image.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size + overhead)
    make = [mkfs, "-q", "-F", "-m", "0", "-O", "^has_journal", "-N", str(inodes + 16)]
    owner = f"root_owner={uid}:{uid},lazy_itable_init=0"
    _checked([*make, "-E", owner, str(image)])
    _checked([mount, "-o", "loop,nosuid,nodev,noexec", str(image), str(point)])
    (point / "lost+found").rmdir()
    os.chmod(point, 0o700)


def _checked(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={})
    if done.returncode != 0:
        raise SandboxUnavailable("mount_failed", f"{command[0]}: {done.stderr.strip()[-300:]}")


def _umount2(point: Path, flags: int) -> int:
    if _libc().umount2(os.fsencode(point), flags) == 0:
        return 0
    return ctypes.get_errno()
