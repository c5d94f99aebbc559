"""The file that tells others (fault tests, the demo, a curious person) what runs right now."""

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, facts: dict[str, Any]) -> None:
    """Replace the status file in one step, so that a reader never sees half of it."""
    draft = path.with_name(f"{path.name}.draft-{os.getpid()}")
    draft.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(path)


def read(path: Path) -> dict[str, Any] | None:
    """Return the facts, or None while there are none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found
