"""What the platform has acknowledged to its member, written down outside of it.

Each line is one word of the platform: `ok` for an answer that promised something. The audit asks for every one.
"""

import json
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One promise. `kind` is job, blob or cancel; `key` names it; `number` is the id that the platform gave."""

    kind: str
    key: str
    number: int = 0


class Record:
    """Promises in the order in which they were heard; safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._promises: list[Acknowledged] = []

    def add(self, promise: Acknowledged) -> None:
        """Write one promise down, at once."""
        line = json.dumps({**asdict(promise), "at": time.monotonic()})
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._promises.append(promise)

    def promises(self) -> list[Acknowledged]:
        """All promises so far."""
        with self._lock:
            return list(self._promises)
