"""What a log says last, for whoever has to know why something ended."""

from pathlib import Path

LAST_LINES = 12


def last_words(log: Path) -> str:
    """The path of the log and its last lines."""
    lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
    return "\n  ".join([f"{log} ends with:", *lines])
