"""From files on disk to a sandbox job, and the lines drivers speak. Real runs: tests/sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnode import runners
from gridnode.runners import interface
from gridnode.sandbox.spec import Limits, Outcome, Reason


def test_the_runners_of_this_agent_are_listed() -> None:
    assert runners.names() == ("onnx", "python")
    with pytest.raises(interface.TaskRefused, match="runner_unknown"):
        runners.by_name("shell")


@pytest.mark.parametrize(("name", "missing"), [("onnx", "input.npy"), ("onnx", "model.onnx"), ("python", "main.py")])
def test_a_missing_file_is_named(tmp_path: Path, name: str, missing: str) -> None:
    runner = runners.by_name(name)
    for file in runner.required_inputs():
        (tmp_path / file).write_bytes(b"x")
    runner.prepare(tmp_path, Limits())
    (tmp_path / missing).unlink()
    (tmp_path / missing).symlink_to("/etc/passwd")  # a link is as good as nothing

    with pytest.raises(interface.TaskRefused, match=f"input_missing: the task has no file {missing}"):
        runner.prepare(tmp_path, Limits())


def test_a_job_keeps_the_limits_it_was_given_and_uses_the_runtimes_interpreter(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("pass")
    limits = Limits(memory_mib=99)

    spec = runners.by_name("python").prepare(tmp_path, limits)

    assert spec.limits == limits
    assert spec.command[0] == "/rt/bin/python3"
    assert spec.env == {"INPUTS": "/in/inputs", "OUT": "/out"}
    assert (tmp_path / "inputs").is_dir()


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"", None),
        (b"PROGRESS 10", None),  # the line is not complete yet
        (b"PROGRESS 10\n", 10),
        (b"noise\nPROGRESS 10\nPROGRESS 250\nPROGRESS 9", 250),
        (b"PROGRESS 5000\n", 1000),
        (b"PROGRESS -1\nPROGRESS x\nxPROGRESS 7\n", None),
    ],
)
def test_progress_is_the_last_complete_line(tail: bytes, expected: int | None) -> None:
    assert interface.progress(tail) == expected


@given(st.binary(max_size=200))
def test_progress_of_anything_is_a_permille_or_nothing(tail: bytes) -> None:
    found = interface.progress(tail)

    assert found is None or 0 <= found <= 1000


def test_a_refusal_is_read_only_from_the_agreed_exit_code() -> None:
    stderr = b"warning\nREFUSED output_type it is a map\x1b[2J\n"

    assert interface.refusal(Outcome(Reason.NONZERO_EXIT, exit_code=1, stderr=stderr)) is None
    found = interface.refusal(Outcome(Reason.NONZERO_EXIT, exit_code=3, stderr=stderr))
    assert found == interface.Refusal("output_type", "it is a map\\x1b[2J")
    assert interface.refusal(Outcome(Reason.NONZERO_EXIT, exit_code=3, stderr=b"nothing")) is None
