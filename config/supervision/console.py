"""One stream of lines from all components, each with the name of its origin."""

import itertools
import sys
import time
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
SUPERVISOR = "up"


class Console:
    """Prefixes lines with time and component; coloured where a person watches.

    A reader that went away makes it fall silent and sets `closed`.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._coloured = self._stream.isatty()
        self._colour_of: dict[str, int] = {}
        self._colours = itertools.cycle(COLOURS)
        self.closed = False

    def line(self, origin: str, text: str) -> None:
        """Write one line."""
        now = time.strftime("%H:%M:%S", time.gmtime())
        prefix = f"{now} {origin:<8} |"
        if self._coloured:
            if origin not in self._colour_of:
                self._colour_of[origin] = next(self._colours)
            prefix = f"\x1b[{self._colour_of[origin]}m{prefix}\x1b[0m"
        self._write(f"{prefix} {text}\n")

    def say(self, text: str) -> None:
        """Write what the supervisor itself has to say."""
        for line in text.splitlines():
            self.line(SUPERVISOR, line)

    def _write(self, text: str) -> None:
        if self.closed:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self.closed = True
