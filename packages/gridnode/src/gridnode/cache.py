"""Files by digest that later tasks may need again: models and bundles, never more than so many bytes.

Nothing in it is trusted: a file is verified each time it is used, and thrown away when it is not what
its name says. Entries appear whole or not at all, and share their bytes with the task that brought them.
"""

import asyncio
import logging
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

from gridnode import client
from opengrid.messages import BlobRef

logger = logging.getLogger(__name__)

LIMIT_BYTES = 2 * 1024**3
Fetch = Callable[[Path], Awaitable[None]]


class BlobCache:
    """A folder of verified files, the least recently used of which give way."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def prepare(self) -> None:
        """Make the folder, remove what a crash left half done, and keep to the limit. Raises: OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(self.folder, 0o700)
        for path in self.folder.iterdir():
            if not _is_entry(path):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._make_room()

    async def bring(self, blob: BlobRef, target: Path, fetch: Fetch) -> None:
        """Put the file at `target`, from the cache or with `fetch`, which must verify it. One fetch for many askers.

        Raises: what `fetch` raises, OSError when `target` cannot be written.
        """
        lock = self._locks.setdefault(blob.digest, asyncio.Lock())
        async with lock:
            if await asyncio.to_thread(self._take, blob, target):
                return
            await fetch(target)
            await asyncio.to_thread(self._keep, blob, target)

    def clear(self) -> None:
        """Give all the space back, for instance on a full disk."""
        for path in self._entries():
            path.unlink(missing_ok=True)

    def _entry(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if _is_entry(path)] if self.folder.is_dir() else []

    def _take(self, blob: BlobRef, target: Path) -> bool:
        """Whether the cache had it; it is read through before it is believed."""
        entry = self._entry(blob.digest)
        try:
            found, size = client.digest_of(entry)
        except FileNotFoundError:
            return False
        except OSError as error:
            logger.warning("a cached file cannot be read: %s", error)
            return False
        if found != blob.digest:
            logger.warning("the cached file %s had changed and is dropped", entry.name)
            entry.unlink(missing_ok=True)
            return False
        if size != blob.size_bytes:
            return False
        os.utime(entry)
        _link(entry, target)
        return True

    def _keep(self, blob: BlobRef, target: Path) -> None:
        """Keep a verified file for later. A cache that cannot do so only costs time."""
        if blob.size_bytes > self.limit_bytes:
            return
        try:
            _link(target, self._entry(blob.digest))
            os.utime(self._entry(blob.digest))
            self._make_room()
        except OSError as error:
            logger.warning("a file was not kept for later: %s", error)

    def _make_room(self) -> None:
        found = [(path, path.stat()) for path in self._entries()]
        total = sum(stat.st_size for _, stat in found)
        for path, stat in sorted(found, key=lambda entry: entry[1].st_mtime_ns):
            if total <= self.limit_bytes:
                return
            path.unlink(missing_ok=True)
            total -= stat.st_size


def _is_entry(path: Path) -> bool:
    name = path.name
    return len(name) == 64 and set(name) <= set("0123456789abcdef") and path.is_file() and not path.is_symlink()


def _link(source: Path, target: Path) -> None:
    """`target` appears whole: as another name of the file, or where that cannot be, as a copy. Raises: OSError."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            os.link(source, draft)
        except OSError:
            shutil.copyfile(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
