"""A job's folder on the host, and the note in it by which a later agent cleans up after a crash.

`RunningJob` writes the note before and after its processes exist; `orphans` reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from gridnode.sandbox import watch


@dataclass(frozen=True, slots=True)
class Note:
    """What an earlier agent left: the namespace's first process with its start time (a pid alone
    may have been used again), None if there was none yet, and the job's cgroup folders."""

    init: tuple[int, int] | None
    cgroups: tuple[str, ...]


def make(folder: Path) -> None:
    """Makes the folder: others may pass it, not read it. Raises: FileExistsError, OSError."""
    folder.mkdir(mode=0o711)
    os.chmod(folder, 0o711)  # noqa: S103 - passable, not readable


def write_note(folder: Path, *, init_pid: int | None, cgroups: list[str]) -> None:
    """Notes what a later agent needs to clean up after this one's crash."""
    state = {
        "agent_pid": os.getpid(),
        "agent_started": watch.started_at(os.getpid()),
        "init_pid": init_pid,
        "init_started": watch.started_at(init_pid) if init_pid else None,
        "cgroups": cgroups,
    }
    temporary = folder / "state.new"
    temporary.write_text(json.dumps(state))
    temporary.rename(folder / "state.json")


def read_note(folder: Path) -> Note:
    """The note in a job's folder; an empty one where there is none, or none that can be read."""
    state = {}
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((folder / "state.json").read_text())
    init = None
    if state.get("init_pid") and state.get("init_started"):
        init = int(state["init_pid"]), int(state["init_started"])
    return Note(init, tuple(path for path in state.get("cgroups", []) if "/gridnode-" in path))


def remove(folder: Path) -> None:
    """Removes a job's (flat) folder; nothing in it was ever writable by a job without a mount."""
    for name in ("state.json", "state.new", "out.ext4"):
        (folder / name).unlink(missing_ok=True)
    for path in (folder / "out", folder):
        with contextlib.suppress(FileNotFoundError):
            path.rmdir()
