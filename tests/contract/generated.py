"""A Python client made of docs/api/openapi.json by openapi-python-client, as a reader would make one."""

import importlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.docs import pages

DOCUMENT = pages.ROOT / "docs" / "api" / "openapi.json"
GENERATE_SECONDS = 120
NAME = "commongrid_client"


def operations():
    """(operation id, its first tag) of everything that the document describes."""
    paths = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]
    return [(operation["operationId"], operation["tags"][0]) for path in paths.values() for operation in path.values()]


def generate(folder):
    """Make the client below `folder`; returns what the generator said."""
    options = ["--path", str(DOCUMENT), "--output-path", str(folder / NAME), "--meta", "none", "--fail-on-warning"]
    programs = Path(sys.executable).parent  # the generator looks for ruff on the path
    done = subprocess.run(
        [str(programs / "openapi-python-client"), "generate", *options],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=GENERATE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def imported(folder):
    """The client below `folder`, importable until the end of the block; a function that imports a part of it."""
    sys.path.insert(0, str(folder))
    try:
        yield lambda name: importlib.import_module(f"{NAME}.{name}")
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]
