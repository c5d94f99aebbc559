"""What the harness says while it works: one line at a time, at once."""

import sys


def say(line: str) -> None:
    """Write one line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
