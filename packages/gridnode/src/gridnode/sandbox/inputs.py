"""A job's input folder: what may be in it, and who may enter it."""

from __future__ import annotations

import os
from pathlib import Path

from gridnode.sandbox.spec import JobRefused


def require_plain(in_dir: Path) -> None:
    """Raise JobRefused if the input folder holds anything but folders and regular files."""
    for current, folders, files in os.walk(in_dir):
        for name in (*folders, *files):
            path = Path(current) / name
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise JobRefused("input_not_plain", f"{name} in the input folder is no plain file")


def share_with(in_dir: Path, uid: int) -> None:
    """Lets exactly this job's group enter its input folder.

    Files keep their owner (they may be hard links into the blob cache) and become readable;
    only the folder, which nobody else can enter, guards them.
    """
    for current, folders, files in os.walk(in_dir):
        for name in (*folders, *files):
            path = Path(current) / name
            mode = path.stat().st_mode & 0o777
            wanted = mode | (0o755 if path.is_dir() else 0o444)
            if mode != wanted:
                os.chmod(path, wanted)
    os.chown(in_dir, -1, uid)
    os.chmod(in_dir, 0o750)  # noqa: S103 - its group is the job
