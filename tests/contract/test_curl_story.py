"""The commands of docs/api/README.md, carried out: from an invitation to a checked result with curl alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from opengrid import npy
from tests.contract import material
from tests.docs import pages

pytestmark = pytest.mark.timeout(600)
PAGE = pages.read("docs/api/README.md")
STORY = PAGE[PAGE.index("## From an invitation to a result") : PAGE.index("## A client made from the document")]
JOIN, KEY, PUBLISH, SUBMIT, FOLLOW = pages.blocks(STORY, "sh")
BLOCK_SECONDS = 200
STRICT = "set -eu -o pipefail\n"
KEEP = "\n{ declare -p GRID JSON OCTETS ME KEY JOB 2>/dev/null || true; declare -f; } >.shell\n"


class Shell:
    """One reader's shell: what a block sets is there in the next one."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, block):
        known = "if [ -e .shell ]; then . ./.shell; fi\n"
        done = subprocess.run(
            ["bash", "-c", STRICT + known + block + KEEP],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=BLOCK_SECONDS,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def read(self, name):
        """A file that a command wrote, as JSON."""
        return json.loads((self.folder / name).read_text())


def with_values(block, **values):
    """The block with the first lines' placeholders replaced, which is all that a reader changes."""
    for name, value in values.items():
        block, count = re.subn(rf"^{name}=.*$", f"{name}={value}", block, flags=re.MULTILINE)
        assert count == 1, name
    return block


def test_a_reader_of_the_page_gets_from_an_invitation_to_a_checked_result(grid, act, tmp_path):
    material.write(tmp_path)
    shell = Shell(tmp_path)

    me = shell.run(
        with_values(JOIN, GRID=f"{grid.platform.url}/api/v1", INVITATION=act("invite")["token"]),
    )
    shell.run(KEY)
    models = shell.run(PUBLISH)
    act("credit", "nina@example.org")
    wallet_and_estimate = shell.run(SUBMIT)
    said = shell.run(FOLLOW)

    joined, version, submitted = (shell.read(name) for name in ("joined.json", "version.json", "submitted.json"))
    outputs = shell.read("outputs.json")["outputs"]
    assert json.loads(me)["email"] == "nina@example.org"
    assert joined["membership"]["cooperative"]["name"] == "Riverside Grid"
    assert (version["model"], version["publisher"]) == ("labels", "Nina")
    assert '"name":"labels"' in models
    assert f'"held_micro":{submitted["held_micro"]}' in wallet_and_estimate
    assert submitted["tasks_total"] == len(outputs) == len(material.ROWS) // material.ROWS_PER_TASK
    assert '"state":"DONE"' in said
    assert '"reason":"job_done"' in said
    fetched = npy.load((tmp_path / "label.npy").read_bytes())
    assert np.array_equal(fetched, material.LABELS[: material.ROWS_PER_TASK])
