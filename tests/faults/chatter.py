"""Small acknowledged writes without pause around a fault, so that a lost one cannot hide.

Files, and now and then a job that bids too little for any machine; both are tried again until they are acknowledged,
jobs under the same idempotency key.
"""

import threading
from types import TracebackType

from tests.faults import workload
from tests.faults.grid import Grid

THREADS = 3
FILES_PER_JOB = 10
MOST_JOBS = 6
MOST_WRITES = 200
"""Of each thread: enough to cover the blow and the recovery, not a long absence."""
PAUSE_SECONDS = 0.005


class Chatter:
    """Writes from its own threads for the time of a `with` block; `jobs` are the worthless ones it submitted."""

    def __init__(self, grid: Grid, name: str) -> None:
        self._grid = grid
        self._name = name
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._talk, args=(number,)) for number in range(THREADS)]
        self._errors: list[BaseException] = []
        self.jobs: list[int] = []

    def __enter__(self) -> "Chatter":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Finish what has been begun and stop. Raises: what a thread ended with."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _talk(self, number: int) -> None:
        member = self._grid.another_member()
        try:
            written = 0
            while not self._over.is_set() and written < MOST_WRITES:
                label = f"{self._name}/{number}/{written}"
                if written % FILES_PER_JOB == FILES_PER_JOB - 1 and len(self.jobs) < MOST_JOBS:
                    self.jobs.append(workload.submit_worthless(member, self._grid.material, label))
                else:
                    member.upload(label.encode())
                written += 1
                self._over.wait(PAUSE_SECONDS)
        except BaseException as error:  # noqa: BLE001  handed to the thread that waits
            self._errors.append(error)
        finally:
            member.close()
