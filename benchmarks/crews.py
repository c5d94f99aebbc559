"""Clients in processes of their own that begin and end together."""

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from django.db import connections

from config.supervision import spawn

HEAD_START_SECONDS = 0.05
Act = Callable[..., Any]
"""Called as act(number, until, **arguments); returns what its client counted until that monotonic moment."""


class ClientFailed(RuntimeError):
    """A client met an error; the text holds its traceback."""


@dataclass(frozen=True)
class Crew:
    """Clients that wait for something to do."""

    pipes: tuple[Connection, ...]

    def do(self, act: str, seconds: float, **arguments: Any) -> list[Any]:
        """Let each client do `act` for so long; what each counted. Raises: ClientFailed."""
        begin = time.monotonic() + HEAD_START_SECONDS
        for pipe in self.pipes:
            pipe.send((act, begin, begin + seconds, arguments))
        answers = [pipe.recv() for pipe in self.pipes]
        for failure, _ in answers:
            if failure:
                raise ClientFailed(failure)
        return [counted for _, counted in answers]


@contextlib.contextmanager
def crew(count: int, acts: Mapping[str, Act]) -> Iterator[Crew]:
    """Fork `count` clients; each has database connections of its own."""
    connections.close_all()
    for connection in connections.all():
        connection.close_pool()
    context = multiprocessing.get_context("fork")
    ours, processes = [], []
    for number in range(count):
        mine, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(number, theirs, acts), daemon=True)
        process.start()
        theirs.close()
        ours.append(mine)
        processes.append(process)
    try:
        yield Crew(tuple(ours))
    finally:
        for mine in ours:  # to close it is not enough: clients that were forked later hold it too
            with contextlib.suppress(OSError):
                mine.send(None)
            mine.close()
        for process in processes:
            process.join(10)
            process.kill()


def _serve(number: int, pipe: Connection, acts: Mapping[str, Act]) -> None:
    spawn.die_with_parent(signal.SIGKILL, multiprocessing.parent_process().pid)
    while True:
        try:
            wanted = pipe.recv()
        except EOFError:
            return
        if wanted is None:
            return
        name, begin, until, arguments = wanted
        time.sleep(max(0.0, begin - time.monotonic()))
        try:
            answer = (None, acts[name](number, until, **arguments))
        except Exception:  # noqa: BLE001 - it is told to the parent, which fails
            answer = (traceback.format_exc(), None)
        pipe.send(answer)
