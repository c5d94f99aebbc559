"""Readers of environment variables say what they found and what they accept."""

import pytest

from config import env


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("on", True), ("false", False), ("0", False)])
def test_yes_and_no_come_in_several_words(monkeypatch, text, value):
    monkeypatch.setenv("SWITCH", text)

    assert env.env_bool("SWITCH", not value) is value


def test_a_word_that_is_neither_yes_nor_no_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("SWITCH", "maybe")

    with pytest.raises(env.ConfigurationError, match=r"SWITCH='maybe'.*accepted: 1, 0"):
        env.env_bool("SWITCH", True)


@pytest.mark.parametrize("text", ["twelve", "1.5", "1e3"])
def test_a_number_must_be_whole(monkeypatch, text):
    monkeypatch.setenv("COUNT", text)

    with pytest.raises(env.ConfigurationError, match=r"COUNT=.* is not a whole number"):
        env.env_int("COUNT", 1)


def test_a_number_stays_within_its_bounds(monkeypatch):
    monkeypatch.setenv("COUNT", "70000")

    with pytest.raises(env.ConfigurationError, match="the most accepted is 65535"):
        env.env_int("COUNT", 1, minimum=0, maximum=65535)
    with pytest.raises(env.ConfigurationError, match="the least accepted is 80000"):
        env.env_int("COUNT", 1, minimum=80000)


def test_an_empty_value_means_not_set(monkeypatch):
    monkeypatch.setenv("NAME", "  ")

    assert env.env_str("NAME", "default") == "default"
    assert env.env_int("NAME", 7) == 7
    assert env.env_list("NAME", ("a",)) == ["a"]
    with pytest.raises(env.ConfigurationError, match="NAME is not set"):
        env.env_str("NAME")


def test_a_list_is_separated_by_commas(monkeypatch):
    monkeypatch.setenv("HOSTS", "a.example, b.example,,")

    assert env.env_list("HOSTS") == ["a.example", "b.example"]


def test_a_secret_is_read_from_its_file(monkeypatch, tmp_path):
    (tmp_path / "key").write_text("hidden\n")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))

    assert env.env_secret("KEY") == "hidden"


def test_a_secret_with_two_sources_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("KEY", "one")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(env.ConfigurationError, match="KEY and KEY_FILE are both set"):
        env.env_secret("KEY")


@pytest.mark.parametrize(("content", "words"), [(None, "cannot be read"), (b" \n", "is empty"), (b"\xff", "UTF-8")])
def test_an_unusable_secret_file_is_refused(monkeypatch, tmp_path, content, words):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(env.ConfigurationError, match=words):
        env.env_secret("KEY", "default")
