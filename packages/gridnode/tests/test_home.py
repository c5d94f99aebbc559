"""The agent's folder: what it remembers, and what it says when somebody damaged it."""

import json
import os
import stat
from pathlib import Path

import pytest

from gridnode.home import AlreadyJoined, Home, HomeUnusable, Identity, NotJoined, OpenAttempt, default_folder

HERE = Identity("https://grid.example.org", 7, "Riverside", 5, 2)


def test_the_key_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")

    first, second = home.key(), Home(tmp_path / "a" / "b").key()

    assert first.public_text == second.public_text
    assert stat.S_IMODE((home.folder / "key.pem").stat().st_mode) == 0o600


def test_a_fresh_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotJoined, match="run `gridnode join URL --token T` first"):
        Home(tmp_path).identity()


def test_the_identity_is_remembered_and_may_be_saved_again(tmp_path: Path) -> None:
    Home(tmp_path).save_identity(HERE)
    Home(tmp_path).save_identity(HERE)

    assert Home(tmp_path).identity() == HERE


def test_a_folder_belongs_to_one_coordinator(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.save_identity(HERE)

    with pytest.raises(AlreadyJoined, match="belongs to node 7"):
        home.require_free_for("https://other.example.org")
    with pytest.raises(AlreadyJoined):
        home.save_identity(Identity("https://other.example.org", 1, "Hillside", 5, 2))

    assert home.identity() == HERE


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"url": 1}', json.dumps({"url": "u", "node_id": "7"}), "\x00\xff", "[" * 100_000],
    ids=lambda text: repr(text[:12]),
)
def test_a_damaged_identity_is_said_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "node.json").write_text(text)

    with pytest.raises(HomeUnusable, match=r"node\.json does not say where this node joined"):
        Home(tmp_path).identity()


def test_open_attempts_are_remembered(tmp_path: Path) -> None:
    attempts = [OpenAttempt(1, 2), OpenAttempt(3, 4)]
    Home(tmp_path).save_open_attempts(attempts)

    assert Home(tmp_path).open_attempts() == attempts
    assert Home(tmp_path / "fresh").open_attempts() == []


@pytest.mark.parametrize("text", ["", "{}", '[{"attempt_id": 1}]', '[{"attempt_id": "1", "token": 2}]', "null"])
def test_a_damaged_note_of_attempts_does_not_keep_the_agent_from_starting(tmp_path: Path, text: str) -> None:
    (tmp_path / "attempts.json").write_text(text)

    assert Home(tmp_path).open_attempts() == []


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HomeUnusable, match="name another with --home"):
        Home(tmp_path / "file" / "home")


def test_a_retired_node_leaves_room_for_a_new_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old = home.key().public_text
    home.save_identity(HERE)

    home.forget()

    with pytest.raises(NotJoined):
        home.identity()
    assert home.key().public_text != old
    assert sorted(path.name for path in tmp_path.glob("retired-7-*")) == ["retired-7-key.pem", "retired-7-node.json"]


def test_the_default_folder_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRIDNODE_HOME", str(tmp_path))
    assert default_folder() == tmp_path

    monkeypatch.delenv("GRIDNODE_HOME")
    expected = Path("/var/lib/gridnode") if os.geteuid() == 0 else Path.home() / ".gridnode"
    assert default_folder() == expected
