"""The whole demo on PostgreSQL and Redis that somebody else runs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from tests.external import servers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder():
    """A folder that every user may pass, as root's agents need it."""
    found = Path(tempfile.mkdtemp(prefix="commongrid-story-", dir="/tmp"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


@pytest.mark.timeout(600)
def test_the_story_is_the_same_on_external_servers(folder):
    with servers.running() as urls:
        facts_file = folder / "facts.json"
        environment = os.environ | urls
        command = ["-m", "demo", "--exit", "--port", "0", "--run-dir", str(folder / "run"), "--json", str(facts_file)]

        story = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500
        )
        books = subprocess.run(
            [sys.executable, "manage.py", "check_ledger"], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            settled = connection.execute("SELECT count(*) FROM ledger_transfer WHERE kind = 'settlement'").fetchone()

    assert story.returncode == 0, story.stdout + story.stderr
    facts = json.loads(facts_file.read_text())
    assert facts["accuracy_unseen"] >= 0.95
    assert facts["labels_equal_direct_run"] == facts["labels"] == 1797
    assert facts["wrong_answers_accepted"] == 0
    assert facts["wrong_results_caught"] >= 3
    assert facts["paid_for_rejected_micro"] == 0
    assert facts["nodes"]["lous-bargain-box"]["state"] == "QUARANTINED"
    assert settled == (facts["tasks"]["accepted"],)
    assert books.returncode == 0, books.stdout
