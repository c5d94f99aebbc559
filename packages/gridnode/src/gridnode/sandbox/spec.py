"""What a sandboxed job is given and what comes back: limits, job, outcome, reasons, errors.

All sizes are bytes or MiB as named, all times seconds or milliseconds as named, all integers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum


class Reason(StrEnum):
    """Why a job ended. Only `OK` means that the program ran to its end and said so."""

    OK = "ok"
    NONZERO_EXIT = "nonzero_exit"
    OOM = "oom"
    WALL = "wall"
    CPU = "cpu"
    DISK_QUOTA = "disk_quota"
    FILE_COUNT = "file_count"
    STDOUT_LIMIT = "stdout_limit"
    CANCELLED = "cancelled"
    LOST = "lost"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"


class SandboxUnavailable(Exception):
    """Native jobs cannot be run safely here. `name` is stable, the text says what would help."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{Reason.SANDBOX_UNAVAILABLE}: {name}: {text}")
        self.name = name
        self.text = text


class JobRefused(ValueError):
    """The job cannot be started as asked. `code` is stable, the text says what was found."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. `memory_mib` covers everything the job keeps in memory, its files in
    /tmp, /dev/shm and a small /out included. `stdout_bytes` bounds stdout and stderr together.
    `file_bytes` bounds each single file. `cpu_share_milli` is the part of cores it may use at one
    time, 1000 = one core (needs a cgroup); `cpu_seconds` is the total over all its processes."""

    wall_seconds: int = 300
    cpu_seconds: int = 300
    memory_mib: int = 1024
    pids: int = 64
    output_bytes: int = 64 << 20
    output_files: int = 256
    stdout_bytes: int = 1 << 20
    file_bytes: int = 64 << 20
    cpu_share_milli: int = 1000

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if type(value) is not int or value < 1:
                raise JobRefused("limit_invalid", f"{entry.name} is {value!r}, must be >= 1")
        if self.memory_mib < 16 or self.pids < 4:
            raise JobRefused(
                "limit_invalid",
                f"memory_mib {self.memory_mib} and pids {self.pids} must be >= 16 and >= 4",
            )

    @property
    def memory_bytes(self) -> int:
        """`memory_mib` in bytes."""
        return self.memory_mib << 20


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A program to run: an absolute command as seen inside, limits, environment, and small files
    (absolute path inside -> content) placed read-only, such as a runner's driver."""

    command: tuple[str, ...]
    limits: Limits
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.command or not self.command[0].startswith("/"):
            raise JobRefused("command_invalid", "the command must start with an absolute path")
        for path in self.files:
            if not path.startswith("/drv/") or ".." in path:
                raise JobRefused("file_path_invalid", f"{path!r} is not below /drv/")
        strings = (*self.command, *self.files, *self.env, *self.env.values())
        if any("\0" in value for value in strings) or any("=" in name for name in self.env):
            raise JobRefused("command_invalid", "NUL or a malformed environment name in the job")


@dataclass(frozen=True, slots=True)
class JobHandle:
    """Names a started job. Survives as JSON; a job of an agent that died polls as `lost`."""

    job_id: str

    def to_json(self) -> str:
        """For a file that outlives the agent."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> JobHandle:
        """What `to_json` wrote. Raises: ValueError, KeyError."""
        return cls(job_id=str(json.loads(text)["job_id"]))


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One collected file: path relative to the output folder, size, hex sha256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """One entry of the output folder that was not taken over, and why (typed code)."""

    code: str
    path: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job used, as the node measured it."""

    wall_ms: int = 0
    cpu_ms: int = 0
    peak_memory_bytes: int = 0
    stdout_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. `exit_code` is None if the program never ran. `stdout` and `stderr` are
    cut at the limit. `files` and `rejected` are filled only for reason `ok`."""

    reason: Reason
    exit_code: int | None = None
    detail: str = ""
    stdout: bytes = b""
    stderr: bytes = b""
    files: tuple[OutputFile, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def succeeded(self) -> bool:
        """Ran to its end and left nothing but plain files."""
        return self.reason is Reason.OK and not self.rejected


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Answer of a poll: `outcome` is None while the job runs."""

    running: bool
    outcome: Outcome | None = None
