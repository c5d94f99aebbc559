"""The collector alone, on folders a job could have left (the attack suite makes them for real)."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnode.sandbox import collect
from gridnode.sandbox.spec import Limits

LIMITS = Limits(output_bytes=10_000, output_files=5, file_bytes=4_000)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def source_fd(source: Path) -> Iterator[int]:
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def _codes(found: collect.Collected) -> dict[str, str]:
    return {rejection.path: rejection.code for rejection in found.rejected}


def test_plain_files_are_copied_hashed_and_given_plain_modes(source: Path, source_fd: int, tmp_path: Path) -> None:
    (source / "sub").mkdir(mode=0o700)
    (source / "sub" / "b.npy").write_bytes(b"two")
    (source / "a").write_bytes(b"")
    os.chmod(source / "a", 0o6777)

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert found.rejected == ()
    assert [(file.path, file.size_bytes) for file in found.files] == [("a", 0), ("sub/b.npy", 3)]
    assert found.files[1].sha256 == hashlib.sha256(b"two").hexdigest()
    assert (tmp_path / "target" / "sub" / "b.npy").read_bytes() == b"two"
    assert (tmp_path / "target" / "a").stat().st_mode & 0o7777 == 0o644


def test_what_is_no_plain_file_is_refused_without_being_opened(source: Path, source_fd: int, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (source / "link").symlink_to(secret)
    (source / "folder-link").symlink_to(tmp_path)
    (source / "loop").symlink_to("loop")
    os.mkfifo(source / "fifo")
    os.link(secret, source / "hard")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(source / "socket"))

        found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert found.files == ()
    assert _codes(found) == {
        "fifo": "not_regular",
        "folder-link": "not_regular",
        "hard": "hard_link",
        "link": "not_regular",
        "loop": "not_regular",
        "socket": "not_regular",
    }


@pytest.mark.parametrize(
    "name",
    [b"new\nline", b"bell\x07", b"esc\x1b[2J", b"\xff\xfe", "rtl\u202etxt".encode(), b"back\\slash", b"x" * 129],
)
def test_names_that_could_do_harm_are_refused(source: Path, source_fd: int, tmp_path: Path, name: bytes) -> None:
    (Path(os.fsdecode(os.fsencode(source) + b"/" + name))).write_text("x")

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert [rejection.code for rejection in found.rejected] == ["bad_name"]
    assert found.rejected[0].path.isprintable()
    assert found.rejected[0].path.isascii()


def test_a_file_over_the_limit_is_refused_and_the_rest_is_taken(source: Path, source_fd: int, tmp_path: Path) -> None:
    (source / "big").write_bytes(b"x" * 4_001)
    (source / "small").write_bytes(b"x" * 4_000)

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert _codes(found) == {"big": "file_too_large"}
    assert [file.path for file in found.files] == ["small"]


def test_a_sparse_file_is_refused_by_its_length(source: Path, source_fd: int, tmp_path: Path) -> None:
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 40)

    assert _codes(collect.collect(source_fd, tmp_path / "target", LIMITS)) == {"sparse": "file_too_large"}


def test_collecting_stops_at_the_total_of_bytes(source: Path, source_fd: int, tmp_path: Path) -> None:
    for number in range(4):
        (source / f"{number}").write_bytes(b"x" * 3_000)

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert [file.path for file in found.files] == ["0", "1", "2"]
    assert _codes(found) == {"3": "too_many_bytes"}


def test_collecting_stops_at_the_number_of_files(source: Path, source_fd: int, tmp_path: Path) -> None:
    for number in range(9):
        (source / f"{number}").write_bytes(b"")

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert len(found.files) == 5
    assert _codes(found) == {"5": "too_many_files"}


def test_a_hundred_thousand_entries_are_not_even_listed(source: Path, source_fd: int, tmp_path: Path) -> None:
    for number in range(200):
        (source / f"{number}").mkdir()

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert [rejection.code for rejection in found.rejected] == ["too_many_files"]


def test_depth_is_bounded(source: Path, source_fd: int, tmp_path: Path) -> None:
    (source / "/".join("d" * 12)).mkdir(parents=True)

    found = collect.collect(source_fd, tmp_path / "target", LIMITS)

    assert [rejection.code for rejection in found.rejected] == ["too_deep"]


def test_a_target_that_holds_files_is_not_touched(source: Path, source_fd: int, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").write_text("x")

    with pytest.raises(FileExistsError):
        collect.collect(source_fd, tmp_path / "target", LIMITS)


@given(st.text(max_size=140))
def test_a_safe_name_is_printable_short_and_one_path_component(name: str) -> None:
    if collect.name_is_safe(name):
        assert 0 < len(name.encode()) <= collect.MAX_NAME_BYTES
        assert "/" not in name
        assert name not in (".", "..")
        assert not any(ord(character) < 32 or ord(character) == 127 for character in name)


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_a_printable_path_is_always_plain_ascii(path: str) -> None:
    shown = collect.printable(path)

    assert shown.isascii()
    assert not shown or shown.isprintable()
    assert len(shown) <= 256
