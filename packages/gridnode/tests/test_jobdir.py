"""The note in a job's folder: written and read by the same words, and harmless when it is broken."""

import os
import stat
from pathlib import Path

import pytest

from gridnode.sandbox import jobdir, watch
from gridnode.sandbox.jobdir import Note

GROUP = "/sys/fs/cgroup/gridnode-abc-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "job"
    jobdir.make(made)
    return made


def test_the_folder_can_be_passed_by_others_and_not_read(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    with pytest.raises(FileExistsError):
        jobdir.make(folder)


def test_what_is_noted_is_read_and_the_last_note_counts(folder: Path) -> None:
    jobdir.write_note(folder, init_pid=None, cgroups=[GROUP])
    before = jobdir.read_note(folder)

    jobdir.write_note(folder, init_pid=os.getpid(), cgroups=[GROUP])

    assert before == Note(None, (GROUP,))
    assert jobdir.read_note(folder) == Note((os.getpid(), watch.started_at(os.getpid()) or 0), (GROUP,))


@pytest.mark.parametrize("text", [None, "", '{"init_pid": 12', '{"init_pid": 12}', '{"init_started": 5}'])
def test_a_note_that_is_missing_broken_or_half_names_no_process(folder: Path, text: str | None) -> None:
    if text is not None:
        (folder / "state.json").write_text(text)

    assert jobdir.read_note(folder) == Note(None, ())


def test_only_cgroups_of_the_agent_are_named(folder: Path) -> None:
    jobdir.write_note(folder, init_pid=None, cgroups=["/sys/fs/cgroup/system.slice", GROUP])

    assert jobdir.read_note(folder).cgroups == (GROUP,)


def test_a_folder_is_removed_with_what_the_agent_put_there_and_twice_is_harmless(folder: Path) -> None:
    jobdir.write_note(folder, init_pid=None, cgroups=[])
    (folder / "out").mkdir()
    (folder / "out.ext4").touch()

    jobdir.remove(folder)
    jobdir.remove(folder)

    assert not folder.exists()
