"""A file is stored whole and as announced, or not at all."""

import os
import threading
import time

import pytest
from django.db import connection

from common.bodies import BodyTooLarge
from common.errors import NotFound
from opengrid import digests
from registry import blobs, queries, services
from registry.models import Blob, BlobGrant

DATA = b"0123456789" * 1000


def store(data=DATA, **changes):
    fields = {"chunks": [data[:100], data[100:]], "limit_bytes": len(data)}
    return services.store_blob(**(fields | changes))


def test_the_bytes_lie_under_their_digest(alice, stored_files):
    blob = store(membership=alice)

    assert (blob.digest, blob.size_bytes) == (digests.of_bytes(DATA), len(DATA))
    assert blobs.read(blob.digest) == DATA
    name = blob.digest.removeprefix("sha256:")
    assert stored_files() == [f"sha256/{name[:2]}/{name[2:4]}/{name}"]
    assert queries.usable_blob(alice, blob.digest) == blob


def test_an_empty_file_is_a_file(alice):
    assert store(b"", membership=alice).size_bytes == 0


def test_only_who_uploaded_the_bytes_may_use_them(alice, bob):
    blob = store(membership=alice)

    with pytest.raises(NotFound):
        queries.usable_blob(bob, blob.digest)
    store(membership=bob)
    assert queries.usable_blob(bob, blob.digest) == blob


def test_the_same_file_twice_is_one(alice, stored_files):
    assert store(membership=alice) == store(membership=alice)

    assert (Blob.objects.count(), BlobGrant.objects.count(), len(stored_files())) == (1, 1, 1)


def test_a_file_that_was_lost_comes_back_with_the_next_upload(alice):
    blob = store(membership=alice)
    blobs.path_of(blob.digest).unlink()
    with pytest.raises(blobs.BlobMissing):
        blobs.open_blob(blob.digest)

    store(membership=alice)

    assert blobs.read(blob.digest) == DATA


def broken_stream():
    yield DATA[:500]
    raise ConnectionError("the sender is gone")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"limit_bytes": len(DATA) - 1}, BodyTooLarge),
        ({"limit_bytes": 0}, BodyTooLarge),
        ({"expected_digest": digests.of_bytes(b"other")}, services.DigestMismatch),
        ({"expected_size": len(DATA) + 1}, services.SizeMismatch),
        ({"expected_size": len(DATA) - 1}, services.SizeMismatch),
        ({"chunks": broken_stream()}, ConnectionError),
    ],
)
def test_what_is_refused_leaves_nothing(alice, stored_files, changes, error):
    with pytest.raises(error):
        store(membership=alice, **changes)

    assert stored_files() == []
    assert not Blob.objects.exists()
    assert not BlobGrant.objects.exists()


def test_a_full_disk_is_a_typed_refusal(alice, stored_files, monkeypatch, tmp_path):
    def on_the_full_device(**_):
        return os.open("/dev/full", os.O_WRONLY), str(tmp_path / "never-made")

    monkeypatch.setattr(blobs.tempfile, "mkstemp", on_the_full_device)

    with pytest.raises(blobs.StorageFull):
        store(membership=alice)

    assert stored_files() == []
    assert not Blob.objects.exists()


def test_a_digest_is_never_a_path():
    for text in ("../../etc/passwd", "sha256:" + "0" * 63 + "/", "sha256:" + "A" * 64, "", "sha512:" + "0" * 64):
        with pytest.raises(ValueError, match="a digest reads"):
            blobs.path_of(text)


def test_drafts_of_dead_writers_are_removed_and_living_ones_stay(db, store):
    drafts = store / "drafts"
    drafts.mkdir(parents=True)
    dead, alive = drafts / "draft-dead", drafts / "draft-alive"
    dead.write_bytes(b"x")
    alive.write_bytes(b"x")
    long_ago = time.time() - blobs.DRAFT_IDLE_SECONDS - 1
    os.utime(dead, (long_ago, long_ago))

    assert services.clean_drafts() == 1

    assert (dead.exists(), alive.exists()) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_many_uploads_of_one_file_at_once_are_one_file(alice, bob, stored_files):
    start = threading.Barrier(6, timeout=30)
    outcomes = []

    def upload(membership):
        try:
            start.wait()
            outcomes.append(services.store_blob(chunks=[DATA], limit_bytes=len(DATA), membership=membership).digest)
        finally:
            connection.close()

    threads = [threading.Thread(target=upload, args=(who,)) for who in (alice, bob) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert outcomes == [digests.of_bytes(DATA)] * 6
    assert (Blob.objects.count(), BlobGrant.objects.count(), len(stored_files())) == (1, 2, 1)
