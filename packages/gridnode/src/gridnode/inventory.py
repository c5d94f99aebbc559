"""What the machine has, as the agent may use it: cores, memory, disk, CPU model, GPUs.

Only discovery; how fast it is gets measured elsewhere. All figures are integers.
"""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it."""

    name: str
    uuid: str
    memory_mib: int
    driver_version: str


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs found; `reason` says why there are none (empty when there are some)."""

    devices: tuple[Gpu, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """`usable_milli_cores` respects affinity and cgroup quota; `memory_mib` a cgroup's limit."""

    cpu_model: str
    cpu_flags: tuple[str, ...]
    architecture: str
    logical_cores: int
    usable_milli_cores: int
    memory_mib: int
    memory_available_mib: int
    disk_free_mib: int
    kernel: str
    boot_id: str
    gpus: Gpus

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for canonical JSON."""
        return asdict(self)


def discover(data_folder: Path) -> Inventory:
    """Looks at this machine now; `data_folder` (which must exist) tells whose disk is meant."""
    memory = psutil.virtual_memory()
    limit = memory_limit_bytes()
    total = min(memory.total, limit) if limit is not None else memory.total
    return Inventory(
        cpu_model=cpu_model(Path("/proc/cpuinfo").read_text(errors="replace")),
        cpu_flags=cpu_flags(Path("/proc/cpuinfo").read_text(errors="replace")),
        architecture=platform.machine(),
        logical_cores=psutil.cpu_count(logical=True) or len(os.sched_getaffinity(0)),
        usable_milli_cores=usable_milli_cores(),
        memory_mib=total >> 20,
        memory_available_mib=min(memory.available, total) >> 20,
        disk_free_mib=shutil.disk_usage(data_folder).free >> 20,
        kernel=platform.release(),
        boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        gpus=find_gpus(),
    )


def cpu_model(cpuinfo: str) -> str:
    """The first model name in the text of /proc/cpuinfo, or "unknown"."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return "unknown"


def cpu_flags(cpuinfo: str) -> tuple[str, ...]:
    """Those instruction sets that decide how floating-point results round, sorted."""
    interesting = {"avx", "avx2", "avx512f", "avx512_vnni", "amx_tile", "amx_int8", "fma", "sse4_2"}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return tuple(sorted(interesting & set(value.split())))
    return ()


def usable_milli_cores() -> int:
    """Thousandths of cores this process may use: the smaller of affinity and cgroup quota."""
    affinity = len(os.sched_getaffinity(0)) * MILLI
    quotas = [quota for quota in map(_quota_milli, _own_folders("cpu")) if quota is not None]
    return max(1, min([affinity, *quotas]))


def memory_limit_bytes() -> int | None:
    """The tightest memory limit of the agent's own cgroups and their parents, or None."""
    limits = []
    for folder in _own_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name)
            if text is not None and text.isdigit():
                limits.append(int(text))
    return min(limits, default=None)


def find_gpus() -> Gpus:
    """NVIDIA GPUs through the driver's management library; none without driver or package."""
    try:
        import pynvml  # noqa: PLC0415 - the extra `gpu` is optional
    except ImportError:
        return Gpus((), "the package nvidia-ml-py is not installed (extra `gpu`)")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus((), f"no NVIDIA driver: {error}")
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = int(pynvml.nvmlDeviceGetMemoryInfo(device).total)
            found.append(
                Gpu(
                    name=_text(pynvml.nvmlDeviceGetName(device)),
                    uuid=_text(pynvml.nvmlDeviceGetUUID(device)),
                    memory_mib=memory >> 20,
                    driver_version=driver,
                )
            )
        return Gpus(tuple(found), "" if found else "the driver reports no GPU")
    except pynvml.NVMLError as error:
        return Gpus((), f"the NVIDIA driver failed: {error}")
    finally:
        pynvml.nvmlShutdown()


def _own_folders(controller: str) -> list[Path]:
    """The agent's cgroup folder for a controller and all its parents, v1 and v2."""
    folders: list[Path] = []
    for line in (_read(Path("/proc/self/cgroup")) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]
        elif controller in controllers.split(","):
            roots = [Path("/sys/fs/cgroup") / controllers, Path("/sys/fs/cgroup") / controller]
        else:
            continue
        for root in roots:
            own = root / path.lstrip("/")
            folders += [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return list(dict.fromkeys(folders))


def _quota_milli(folder: Path) -> int | None:
    text = _read(folder / "cpu.max")
    if text is not None:
        quota, _, period = text.partition(" ")
    else:
        quota = _read(folder / "cpu.cfs_quota_us") or "max"
        period = _read(folder / "cpu.cfs_period_us") or "0"
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) * MILLI // int(period)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
