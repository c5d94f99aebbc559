"""The read-only runtime folder that jobs see as /rt: interpreter, stdlib, numpy, ONNX Runtime.

It is self-contained (own shared libraries and loader), so a sandbox needs nothing of the host's
/usr. The folder is built once beside the node's data, under a lock, and renamed into place; later
starts only compare a stamp of sizes and times. `Runtime.digest` names what jobs really run on.
`sources` finds what goes in, `build` copies it, `folder` knows the result again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from gridnode.runtime import build, folder, sources
from gridnode.runtime.folder import INSIDE, Runtime
from gridnode.runtime.sources import RuntimeUnavailable

__all__ = ["INSIDE", "Runtime", "RuntimeUnavailable", "default_root", "ensure_runtime", "require_reachable"]

KEEP_UNUSED_SECONDS = 30 * 86_400


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
    path = root / f"runtime-{sources.recipe_key()[:24]}"
    if runtime := folder.load_if_unchanged(path):
        return runtime
    with _locked(root):
        runtime = folder.load_if_unchanged(path) or folder.load_if_intact(path)
        if runtime is None:
            _clear_leftovers(root, keep=path)
            build.build(root, path)
            runtime = folder.load_if_unchanged(path)
    if runtime is None:
        raise RuntimeUnavailable("runtime_unstable", f"{path} changed while it was being built")
    return runtime


def require_reachable(path: Path) -> None:
    """Raise PermissionError unless every folder down to `path` lets any user pass (mode o+x)."""
    for each in [path, *path.parents]:
        if not each.stat().st_mode & stat.S_IXOTH:
            raise PermissionError(f"{each} cannot be passed by other users (mode lacks o+x)")


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
