"""The cache of verified files: never believed, never too large, never in the way."""
# ruff: noqa: ASYNC240 - a few bytes in a test's folder

import asyncio
import os
from pathlib import Path

import pytest

from gridnode.cache import BlobCache
from opengrid import digests
from opengrid.messages import BlobRef


class Source:
    """Where files come from, and how often it was asked."""

    def __init__(self, data: bytes) -> None:
        self.data, self.asked = data, 0
        self.blob = BlobRef(name="model.onnx", digest=digests.of_bytes(data), size_bytes=len(data))

    async def fetch(self, target: Path) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        target.write_bytes(self.data)

    def entry(self, cache: BlobCache) -> Path:
        return cache.folder / self.blob.digest.removeprefix("sha256:")


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    found = BlobCache(tmp_path / "cache", limit_bytes=1000)
    found.prepare()
    return found


async def bring(cache: BlobCache, source: Source, target: Path) -> bytes:
    await cache.bring(source.blob, target, source.fetch)
    return target.read_bytes()


async def test_a_file_is_fetched_once_and_used_often(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"weights")

    found = [await bring(cache, source, tmp_path / name) for name in "abc"]

    assert found == [b"weights"] * 3
    assert source.asked == 1


async def test_askers_at_the_same_time_share_one_fetch(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"weights")

    found = await asyncio.gather(*(bring(cache, source, tmp_path / str(number)) for number in range(8)))

    assert found == [b"weights"] * 8
    assert source.asked == 1


@pytest.mark.parametrize("damage", [b"weightz", b"", b"weights and more"])
async def test_a_file_that_changed_on_disk_is_dropped_and_fetched_again(
    cache: BlobCache, tmp_path: Path, damage: bytes
) -> None:
    source = Source(b"weights")
    await bring(cache, source, tmp_path / "a")
    entry = source.entry(cache)
    entry.unlink()
    entry.write_bytes(damage)

    assert await bring(cache, source, tmp_path / "b") == b"weights"

    assert source.asked == 2
    assert entry.read_bytes() == b"weights"


async def test_a_link_or_a_folder_in_the_cache_is_no_entry(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"weights")
    (tmp_path / "elsewhere").write_bytes(b"x")
    source.entry(cache).mkdir()
    other = Source(b"other")
    other.entry(cache).symlink_to(tmp_path / "elsewhere")

    cache.prepare()

    assert list(cache.folder.iterdir()) == []
    assert (tmp_path / "elsewhere").exists()
    assert await bring(cache, source, tmp_path / "a") == b"weights"


async def test_a_file_that_was_changed_through_the_task_that_brought_it_is_dropped(
    cache: BlobCache, tmp_path: Path
) -> None:
    """They may be one file with two names; what matters is that a change is noticed before the next use."""
    source = Source(b"weights")
    await bring(cache, source, tmp_path / "a")

    (tmp_path / "a").write_bytes(b"WEIGHTS")

    assert await bring(cache, source, tmp_path / "b") == b"weights"


async def test_a_fetch_that_fails_leaves_nothing(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"weights")

    async def broken(target: Path) -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await cache.bring(source.blob, tmp_path / "a", broken)

    assert list(cache.folder.iterdir()) == []
    assert await bring(cache, source, tmp_path / "a") == b"weights"


async def test_what_a_crash_left_half_done_is_removed(cache: BlobCache) -> None:
    (cache.folder / ".draft").write_bytes(b"half")
    (cache.folder / "folder").mkdir()

    cache.prepare()

    assert list(cache.folder.iterdir()) == []


async def test_the_least_recently_used_gives_way(cache: BlobCache, tmp_path: Path) -> None:
    old, used, new = Source(b"o" * 400), Source(b"u" * 400), Source(b"n" * 400)
    await bring(cache, used, tmp_path / "u")
    await bring(cache, old, tmp_path / "o")
    os.utime(used.entry(cache), (0, 0))
    os.utime(old.entry(cache), (1, 1))
    await bring(cache, used, tmp_path / "b")

    await bring(cache, new, tmp_path / "c")

    assert [source.entry(cache).exists() for source in (old, used, new)] == [False, True, True]
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 1000


async def test_a_file_beyond_the_limit_is_used_but_not_kept(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"x" * 1001)

    assert len(await bring(cache, source, tmp_path / "a")) == 1001

    assert list(cache.folder.iterdir()) == []


async def test_a_smaller_limit_is_kept_from_the_start(cache: BlobCache, tmp_path: Path) -> None:
    for letter in (b"a", b"b"):
        await bring(cache, Source(letter * 400), tmp_path / letter.decode())

    BlobCache(cache.folder, limit_bytes=500).prepare()

    assert len(list(cache.folder.iterdir())) == 1


async def test_a_cache_that_cannot_be_written_only_costs_time(cache: BlobCache, tmp_path: Path) -> None:
    source = Source(b"weights")
    cache.folder.rmdir()
    cache.folder.write_bytes(b"in the way")

    assert await bring(cache, source, tmp_path / "a") == b"weights"


async def test_others_cannot_look_into_the_cache(cache: BlobCache) -> None:
    assert cache.folder.stat().st_mode & 0o777 == 0o700


async def test_all_of_it_can_be_given_back(cache: BlobCache, tmp_path: Path) -> None:
    await bring(cache, Source(b"weights"), tmp_path / "a")

    cache.clear()

    assert list(cache.folder.iterdir()) == []
    assert (tmp_path / "a").read_bytes() == b"weights"
