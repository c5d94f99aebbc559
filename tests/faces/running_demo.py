"""The demo as `make demo` serves it: platform, three machines, a finished job, real people with real passwords."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import CHECKOUT
from config.servers import paths
from config.supervision import spawn

STORY_SECONDS = 300
STOP_SECONDS = 60
PASSWORD = "sunny-grid-2026"


@dataclass(frozen=True)
class RunningDemo:
    """Where it answers, what it knows about itself, and where it keeps its state."""

    url: str
    facts: dict
    folder: Path


@contextmanager
def serving():
    """Tell the story, then serve until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="cg-faces-", dir="/tmp"))
    folder.chmod(0o755)
    facts, said = folder / "facts.json", folder / "said.txt"
    command = ["-m", "demo", "--port", "0", "--run-dir", str(folder / "run"), "--json", str(facts)]
    own_servers = {"DATABASE_URL": "", "REDIS_URL": "", "DJANGO_SETTINGS_MODULE": "config.settings"}
    with said.open("wb") as output:
        story = spawn.spawn(
            [sys.executable, *command],
            death_signal=signal.SIGTERM,
            environment=os.environ | own_servers,
            directory=CHECKOUT,
            output=output,
        )
    try:
        url = _address(story, said)
        yield RunningDemo(url, json.loads(facts.read_text()), folder)
    finally:
        story.terminate()
        try:
            story.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            story.kill()
            story.wait()
        if os.geteuid() == 0:
            state = paths.state_dir(folder / "run", as_root=True)
            shutil.rmtree(state, ignore_errors=True)
            state.with_name(f"{state.name}.lock").unlink(missing_ok=True)
        shutil.rmtree(folder)


def _address(story, said):
    """The address it says it serves at."""
    end = time.monotonic() + STORY_SECONDS
    while True:
        words = said.read_text(errors="replace")
        if found := re.search(r"Serving at (\S+) until", words):
            return found[1]
        assert story.poll() is None, words
        assert time.monotonic() < end, words
        time.sleep(0.2)
