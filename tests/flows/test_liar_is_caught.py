"""The newcomer's story with its dishonest machine, and the control that shows what checks are for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from config.embedded import CHECKOUT
from config.servers import paths
from config.supervision import spawn

pytestmark = pytest.mark.timeout(400)
STORY_SECONDS = 300
LIAR = "lous-bargain-box"


@pytest.fixture
def folder():
    """A folder that every user may pass, as root's agents need it."""
    found = Path(tempfile.mkdtemp(prefix="cg-flows-", dir="/tmp"))
    found.chmod(0o755)
    yield found
    if os.geteuid() == 0:
        state = paths.state_dir(found / "run", as_root=True)
        shutil.rmtree(state, ignore_errors=True)
        state.with_name(f"{state.name}.lock").unlink(missing_ok=True)
    shutil.rmtree(found)


def tell(folder, *options):
    """Run the story to its end on servers of its own; the exit code, the facts, and what was said."""
    facts, said = folder / "facts.json", folder / "said.txt"
    command = ["-m", "demo", "--exit", "--port", "0", "--run-dir", str(folder / "run"), "--json", str(facts)]
    own_servers = {"DATABASE_URL": "", "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "config.settings"}
    with said.open("wb") as output:
        story = spawn.spawn(
            [sys.executable, *command, *options],
            death_signal=signal.SIGTERM,
            environment=os.environ | own_servers,
            directory=CHECKOUT,
            output=output,
        )
        try:
            code = story.wait(STORY_SECONDS)
        except subprocess.TimeoutExpired:
            story.terminate()
            code = story.wait(60)
    return code, json.loads(facts.read_text()) if facts.exists() else {}, said.read_text(errors="replace")


def test_the_liar_is_caught_unpaid_and_quarantined(folder):
    code, facts, said = tell(folder)

    assert code == 0, said
    assert facts["assurance"] == "quorum-2"
    assert facts["labels_equal_direct_run"] == facts["labels"] == 1797
    assert facts["accuracy_unseen"] >= 0.95
    assert facts["wrong_answers_accepted"] == 0
    assert facts["wrong_results_caught"] >= 3
    assert facts["paid_for_rejected_micro"] == 0
    assert "ACCEPTED" not in facts["attempts_by_node"][LIAR]
    assert facts["nodes"][LIAR]["state"] == "QUARANTINED"
    assert facts["split"]["Lou"] == 0
    assert facts["scores_after"][LIAR]["correctness"] < facts["scores_before"][LIAR]["correctness"]


def test_without_checks_the_liars_wrong_answers_are_accepted_and_paid(folder):
    code, facts, said = tell(folder, "--control")

    assert code == 0, said
    assert facts["assurance"] == "none"
    assert facts["wrong_answers_accepted"] > 0
    assert facts["wrong_results_caught"] == 0
    assert facts["labels_equal_direct_run"] == facts["labels"] - facts["wrong_answers_accepted"]
    assert facts["split"]["Lou"] > 0
