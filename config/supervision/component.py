"""What is to be kept running, as plain values: commands, order, probes and limits."""

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from config.servers.identity import Identity

Probe = Callable[[], Awaitable[object]]
"""Asks a component how it is. Raises: ProbeFailedError when there is no good answer.

It returns None for "fine", or a token (e.g. the time of the last row written) that must have
changed since the previous call to count as progress.
"""


class ProbeFailedError(Exception):
    """A probe found no answer, or not the one it accepts; the text says which."""


class BusyError(ProbeFailedError):
    """The component answered, but is not ready to serve: recovering, loading or full."""


class State(StrEnum):
    """Where a component stands."""

    WAITING = "WAITING"  # for what it needs, or for an earlier process to end
    STARTING = "STARTING"
    READY = "READY"
    BACKING_OFF = "BACKING_OFF"
    DONE = "DONE"  # ran once, with success
    STOPPED = "STOPPED"


@dataclass(frozen=True)
class Component:
    """One thing to supervise. Without `command` it is a server run by others, only watched."""

    name: str
    command: Callable[[], Sequence[str]] | None
    ready: Probe | None = None
    watch: Probe | None = None
    needs: tuple[str, ...] = ()
    """Components that must have been ready before this one starts."""
    wants: tuple[str, ...] = ()
    """Components to wait for during `wants_seconds` only; it can live without them."""
    wants_seconds: float = 10.0
    judged_with: tuple[str, ...] = ()
    """Components that must be well for a stand-still of this one to be its own fault."""
    runs_once: bool = False
    stall_seconds: float = 20.0
    start_seconds: float = 60.0
    boot_seconds: float | None = None
    """When set: not ready this long after the supervisor turned to it means giving up."""
    boot_failures: int | None = None
    """When set: give up after so many failures in a row."""
    boot_hint: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    hasty_signal: signal.Signals = signal.SIGKILL
    death_signal: signal.Signals = signal.SIGKILL
    identity: Identity | None = None
    environment: Mapping[str, str] | None = None
    directory: Path = Path("/")
    pass_fds: tuple[int, ...] = ()
    lock: Path | None = None
    """Locked by the process and its children as long as one of them lives."""
    prepare: Callable[[int], str | None] | None = field(default=None)
    """Called before each start with the number of starts in a row that never got ready.

    Returns a notice for the log when it had to do something unusual.
    """


def start_order(components: Sequence[Component]) -> list[list[Component]]:
    """Return the components in levels: each needs or wants only what stands in earlier levels.

    Raises: ValueError for a name that is unknown, double or part of a circle.
    """
    names = [component.name for component in components]
    if len(set(names)) != len(names):
        raise ValueError(f"Component names must be unique; found {names}.")
    for component in components:
        for needed in (*component.needs, *component.wants, *component.judged_with):
            if needed not in names:
                raise ValueError(f"{component.name} refers to {needed}, which is not there.")
    levels: list[list[Component]] = []
    placed: set[str] = set()
    while len(placed) < len(components):
        level = [
            component
            for component in components
            if component.name not in placed and placed.issuperset((*component.needs, *component.wants))
        ]
        if not level:
            raise ValueError(f"Components need each other in a circle: {set(names) - placed}.")
        levels.append(level)
        placed.update(component.name for component in level)
    return levels
