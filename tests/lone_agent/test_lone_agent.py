"""The command itself, as an operator of a strange machine would see it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.lone_agent import newcomer


@pytest.mark.timeout(600)  # on a cold cache the venv alone takes minutes; what counts is measured inside
def test_a_machine_with_nothing_but_gridnode_joins_and_is_paid_within_a_minute(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    python = os.path.realpath(sys.executable)

    done = subprocess.run(
        [sys.executable, "-m", "tests.lone_agent", "--python", python, "--json", str(facts)],
        cwd=newcomer.CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=560,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(facts.read_text())
    assert 0 < found["seconds"]["first settled posting"] < 60
    assert found["seen"]["django"] is False
    assert "first settled posting" in done.stdout


def test_the_wheels_hold_everything_that_runs_and_nothing_else(tmp_path: Path) -> None:
    copies = [newcomer._copy(name, tmp_path / "packages") for name in newcomer.PACKAGES]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
    ]
    subprocess.run([*command, *map(str, copies)], check=True, cwd=tmp_path)

    names = {name for wheel in tmp_path.glob("*.whl") for name in zipfile.ZipFile(wheel).namelist()}

    for package in newcomer.PACKAGES:
        source = newcomer.CHECKOUT / "packages" / package / "src"
        files = (path for path in source.rglob("*") if path.is_file() and path.suffix in (".py", ".json", ".typed"))
        expected = {str(path.relative_to(source)) for path in files if ".egg-info" not in str(path)}
        assert expected <= names
        assert f"{package}/py.typed" in names
    assert {"gridnode/probe_job.py", "gridnode/runners/onnx_driver.py", "gridnode/sandbox/launch.py"} <= names
    assert [name for name in names if "test" in Path(name).name and name != "gridnode/selftest.py"] == []
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"gridnode", "opengrid"}
