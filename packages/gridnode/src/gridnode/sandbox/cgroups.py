"""Kernel-enforced limits of a job: cgroup v1 or v2, whichever the agent can write to.

Version 1 is exercised on real kernels by the tests. Version 2 is tested against a fake tree only
(no machine with delegated v2 controllers was at hand), so its file names and order of writes are
checked, its effect is not; the self-test measures the effect on each node before any job runs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gridnode.sandbox.spec import Limits, SandboxUnavailable

CFS_PERIOD_US = 100_000
_V1_NEEDED = ("memory", "pids")
_V1_WANTED = ("cpu", "cpuacct")
_V2_NEEDED = ("memory", "pids", "cpu")


class Group(Protocol):
    """The cgroups of one job."""

    def procs_files(self) -> list[str]:
        """The files the job's first process writes its pid to."""

    def folders(self) -> list[str]:
        """Every folder to remove at the end."""

    def oom_kills(self) -> int:
        """How many processes the kernel killed for exceeding the memory limit."""

    def cpu_ms(self) -> int:
        """CPU time used so far by all processes, living and dead."""

    def peak_memory_bytes(self) -> int:
        """The most memory charged at one time."""

    def pids(self) -> list[int]:
        """The processes inside, by their numbers in the agent's namespace."""


@dataclass(slots=True)
class GroupV1:
    """One folder in each of several v1 hierarchies."""

    by_controller: dict[str, Path]

    def procs_files(self) -> list[str]:
        return [str(folder / "cgroup.procs") for folder in self._distinct()]

    def folders(self) -> list[str]:
        return [str(folder) for folder in self._distinct()]

    def oom_kills(self) -> int:
        return _keyed(self.by_controller["memory"] / "memory.oom_control", "oom_kill")

    def cpu_ms(self) -> int:
        if "cpuacct" not in self.by_controller:
            return 0
        return int(_read(self.by_controller["cpuacct"] / "cpuacct.usage")) // 1_000_000

    def peak_memory_bytes(self) -> int:
        return int(_read(self.by_controller["memory"] / "memory.max_usage_in_bytes"))

    def pids(self) -> list[int]:
        return [int(pid) for pid in _read(self.by_controller["pids"] / "cgroup.procs").split()]

    def _distinct(self) -> list[Path]:
        return list(dict.fromkeys(self.by_controller.values()))


@dataclass(slots=True)
class GroupV2:
    """One folder in the unified hierarchy."""

    folder: Path

    def procs_files(self) -> list[str]:
        return [str(self.folder / "cgroup.procs")]

    def folders(self) -> list[str]:
        return [str(self.folder)]

    def oom_kills(self) -> int:
        return _keyed(self.folder / "memory.events", "oom_kill")

    def cpu_ms(self) -> int:
        return _keyed(self.folder / "cpu.stat", "usage_usec") // 1_000

    def peak_memory_bytes(self) -> int:
        with contextlib.suppress(FileNotFoundError):  # memory.peak exists since Linux 5.19
            return int(_read(self.folder / "memory.peak"))
        return int(_read(self.folder / "memory.current"))

    def pids(self) -> list[int]:
        return [int(pid) for pid in _read(self.folder / "cgroup.procs").split()]


class Groups(Protocol):
    """Makes the cgroups of jobs below the agent's own."""

    @property
    def kind(self) -> str:
        """cgroup1 or cgroup2."""

    @property
    def has_cpu(self) -> bool:
        """Whether the CPU share of a job can be limited."""

    def create(self, name: str, limits: Limits) -> Group:
        """New, empty cgroups with the limits set. Raises OSError."""

    def leftovers(self, prefix: str) -> list[str]:
        """Folders below the agent's cgroup whose name starts with `prefix`."""


@dataclass(slots=True)
class GroupsV1:
    """`bases`: controller -> the agent's own folder in that hierarchy."""

    bases: dict[str, Path]
    kind: str = "cgroup1"

    @property
    def has_cpu(self) -> bool:
        return "cpu" in self.bases

    def create(self, name: str, limits: Limits) -> GroupV1:
        group = GroupV1({controller: base / name for controller, base in self.bases.items()})
        try:
            for folder in group.folders():
                os.mkdir(folder)
            memory = group.by_controller["memory"]
            _write(memory / "memory.limit_in_bytes", limits.memory_bytes)
            if (memory / "memory.memsw.limit_in_bytes").exists():
                _write(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)
            else:
                _write(memory / "memory.swappiness", 0)
            _write(group.by_controller["pids"] / "pids.max", process_ceiling(limits))
            if self.has_cpu:
                cpu = group.by_controller["cpu"]
                _write(cpu / "cpu.cfs_period_us", CFS_PERIOD_US)
                _write(cpu / "cpu.cfs_quota_us", _quota_us(limits))
        except OSError:
            remove(group.folders())
            raise
        return group

    def leftovers(self, prefix: str) -> list[str]:
        return [path for base in dict.fromkeys(self.bases.values()) for path in _named(base, prefix)]


@dataclass(slots=True)
class GroupsV2:
    """`base`: the agent's own folder; its controllers were handed to children by `detect_v2`.

    `make_folder` is os.mkdir; a test passes one that also makes the files a kernel would.
    """

    base: Path
    make_folder: Callable[[str], None] = os.mkdir
    kind: str = "cgroup2"
    has_cpu: bool = True

    def create(self, name: str, limits: Limits) -> GroupV2:
        group = GroupV2(self.base / name)
        self.make_folder(str(group.folder))
        try:
            _write(group.folder / "memory.max", limits.memory_bytes)
            if (group.folder / "memory.swap.max").exists():
                _write(group.folder / "memory.swap.max", 0)
            _write(group.folder / "memory.oom.group", 1)
            _write(group.folder / "pids.max", process_ceiling(limits))
            _write(group.folder / "cpu.max", f"{_quota_us(limits)} {CFS_PERIOD_US}")
        except OSError:
            remove(group.folders())
            raise
        return group

    def leftovers(self, prefix: str) -> list[str]:
        return _named(self.base, prefix)


def process_ceiling(limits: Limits) -> int:
    """pids.max: the job's processes plus bubblewrap's two (outer process and pid 1)."""
    return limits.pids + 2


def detect() -> Groups | None:
    """The cgroups this agent can really use, v2 before v1, or None. Leaves nothing behind."""
    own = Path("/proc/self/cgroup").read_text()
    mounts = Path("/proc/self/mountinfo").read_text()
    return detect_v2(own, mounts) or detect_v1(own, mounts)


def detect_v1(own: str, mounts: str) -> GroupsV1 | None:
    """From the texts of /proc/self/cgroup and /proc/self/mountinfo. Needs memory and pids."""
    places = _mounted(mounts, "cgroup")
    bases: dict[str, Path] = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller not in (*_V1_NEEDED, *_V1_WANTED):
                continue
            for point, root, options in places:
                if controller in options:
                    folder = _below(point, root, path)
                    if os.access(folder, os.W_OK):
                        bases[controller] = folder
    if not all(controller in bases for controller in _V1_NEEDED):
        return None
    groups = GroupsV1(bases)
    return groups if _can_create(groups) else None


def detect_v2(
    own: str,
    mounts: str,
    make_folder: Callable[[str], None] = os.mkdir,
    remove_folder: Callable[[str], None] = os.rmdir,
) -> GroupsV2 | None:
    """As `detect_v1`, for the unified hierarchy; moves the agent into a leaf of its own if the
    kernel's "no processes in inner groups" rule asks for it (systemd: Delegate=yes is needed)."""
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), None)
    places = _mounted(mounts, "cgroup2")
    if path is None or not places:
        return None
    point, root, _ = places[0]
    base = _below(point, root, path)
    if base.name == "gridnode-agent":  # a restarted agent whose parent had been moved already
        base = base.parent
    try:
        available = _read(base / "cgroup.controllers").split()
        if not all(controller in available for controller in _V2_NEEDED):
            return None
        if not os.access(base, os.W_OK):
            return None
        _hand_down(base, make_folder)
    except OSError:
        return None
    groups = GroupsV2(base, make_folder)
    return groups if _can_create(groups, remove_folder) else None


def remove(
    folders: list[str], *, patience_seconds: float = 2.0, remove_folder: Callable[[str], None] = os.rmdir
) -> None:
    """Kills what is left in the folders and removes them; missing ones are fine.

    Raises: SandboxUnavailable if one stays (a cgroup that cannot be emptied must be seen).
    """
    deadline = time.monotonic() + patience_seconds
    for folder in folders:
        while True:
            try:
                remove_folder(folder)
                break
            except FileNotFoundError:
                break
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                    raise
                if time.monotonic() > deadline:
                    raise SandboxUnavailable("cgroup_stuck", f"cannot remove {folder}") from error
            _kill_all(Path(folder))
            time.sleep(0.002)


def _kill_all(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _write(folder / "cgroup.kill", 1)
    with contextlib.suppress(OSError):
        for pid in _read(folder / "cgroup.procs").split():
            if int(pid) not in (0, os.getpid()):  # 0: not in this pid namespace; kill(0) is our group
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def _can_create(groups: Groups, remove_folder: Callable[[str], None] = os.rmdir) -> bool:
    name = f"gridnode-detect-{os.getpid()}-{time.monotonic_ns()}"
    try:
        remove(groups.create(name, Limits()).folders(), remove_folder=remove_folder)
    except OSError:
        return False
    return True


def _hand_down(base: Path, make_folder: Callable[[str], None]) -> None:
    wanted = " ".join(f"+{controller}" for controller in _V2_NEEDED)
    handed = _read(base / "cgroup.subtree_control").split()
    if all(controller in handed for controller in _V2_NEEDED):
        return
    try:
        _write(base / "cgroup.subtree_control", wanted)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = base / "gridnode-agent"
        if not leaf.exists():
            make_folder(str(leaf))
        _write(leaf / "cgroup.procs", os.getpid())
        _write(base / "cgroup.subtree_control", wanted)


def _mounted(mounts: str, kind: str) -> list[tuple[Path, str, list[str]]]:
    """(mount point, root within the file system, super options) of each mount of that type."""
    found = []
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, (fstype, _, options) = left.split(), right.split(" ", 2)
        if fstype == kind:
            found.append((Path(fields[4]), fields[3], options.split(",")))
    return found


def _below(point: Path, root: str, path: str) -> Path:
    inside = path[len(root) :] if root != "/" and path.startswith(root) else path
    return point / inside.lstrip("/")


def _named(base: Path, prefix: str) -> list[str]:
    try:
        return [str(base / name) for name in os.listdir(base) if name.startswith(prefix)]
    except FileNotFoundError:
        return []


def _quota_us(limits: Limits) -> int:
    return max(1_000, limits.cpu_share_milli * CFS_PERIOD_US // 1_000)


def _keyed(path: Path, key: str) -> int:
    for line in _read(path).splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")


def _write(path: Path, value: int | str) -> None:
    """Writes to an existing control file; never creates one (a fake tree must have it)."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)
