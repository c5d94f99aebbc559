"""Starts components in order, restarts what ends or stands still, and stops all in reverse order.

Everything happens in one thread and one event loop: a child's death signal is tied to the thread
that started it, and forking is safe only without other threads.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.env import ConfigurationError
from config.servers import locks
from config.supervision import status
from config.supervision.backoff import Backoff
from config.supervision.child import Child, describe_exit
from config.supervision.component import Component, State, start_order
from config.supervision.console import Console
from config.supervision.watch import Watch

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOCK_POLL_SECONDS = 0.1
STARTING_PROBE_SECONDS = 0.15
READY_PROBE_SECONDS = 1.0


class StartFailedError(Exception):
    """A component that everything else needs cannot be brought up; the text says why."""


@dataclass
class _Slot:
    """A component and its present run."""

    component: Component
    backoff: Backoff
    state: State = State.WAITING
    child: Child | None = None
    watch: Watch | None = None
    starts: int = 0
    starts_without_success: int = 0
    patient_since: float = field(default_factory=time.monotonic)
    last_reason: str | None = None
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_well(self) -> bool:
        return self.state == State.DONE or (self.watch is not None and self.watch.is_well)


class Supervisor:
    """Supervises `components` until a stop signal, a call of `stop` or a start that fails.

    `facts` go into the status file beside the components. `on_ready` runs once, when the
    components named in `ready_names` (default: all) have been ready for the first time. `draw`
    gives random numbers in [0, 1).
    """

    def __init__(
        self,
        components: Sequence[Component],
        *,
        console: Console,
        status_path: Path | None = None,
        facts: Mapping[str, Any] | None = None,
        on_ready: Callable[[], Awaitable[None]] | None = None,
        ready_names: Sequence[str] | None = None,
        make_backoff: Callable[[], Backoff] = Backoff,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._levels = start_order(components)
        self._slots = {item.name: _Slot(item, make_backoff()) for item in components}
        self._console = console
        self._status_path = status_path
        self._facts = dict(facts or {})
        self._on_ready = on_ready
        self._ready_names = list(self._slots if ready_names is None else ready_names)
        self._draw = draw
        self._phase = "starting"
        self._stopping = asyncio.Event()
        self._hasty = asyncio.Event()
        self._failure: str | None = None

    def pids(self) -> dict[str, int]:
        """Return the process ids of the components that run now."""
        return {name: slot.child.pid for name, slot in self._slots.items() if slot.child}

    def states(self) -> dict[str, State]:
        """Return where each component stands."""
        return {name: slot.state for name, slot in self._slots.items()}

    def starts(self, name: str) -> int:
        """Return how often this component has been started."""
        return self._slots[name].starts

    async def wait_until_ready(self, names: Sequence[str] | None = None) -> None:
        """Wait until the named components (default: all) have been ready once."""
        for name in self._slots if names is None else names:
            await self._slots[name].was_ready.wait()

    def stop(self, reason: str) -> None:
        """Begin to stop; further calls change nothing."""
        if not self._stopping.is_set():
            self._console.say(f"stopping: {reason}")
            self._stopping.set()

    def _on_signal(self, number: signal.Signals) -> None:
        """Stop at the first signal, hurry at the second."""
        if self._stopping.is_set():
            self._hasty.set()
        self.stop(number.name)

    async def main(self, *, handle_signals: bool = True) -> int:
        """Run until stopped; return 0, or 1 when a start failed. No child is left behind."""
        loop = asyncio.get_running_loop()
        if handle_signals:
            for number in STOP_SIGNALS:
                loop.add_signal_handler(number, self._on_signal, number)
        tasks = [asyncio.create_task(self._keep(slot)) for slot in self._slots.values()]
        tasks.append(asyncio.create_task(self._announce()))
        try:
            await self._until_stopping(tasks)
        finally:
            self._stopping.set()
            self._phase = "stopping"
            self._write_status()
            await self._stop_children()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._phase = "stopped"
            self._write_status()
        if self._failure is None:
            self._console.say("stopped.")
        return 0 if self._failure is None else 1

    async def _until_stopping(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        waiter = asyncio.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            for task in tasks:
                error = task.exception() if task.done() else None
                if isinstance(error, StartFailedError):
                    self._failure = str(error)
                    self._console.say(f"cannot start: {error}")
                    self.stop("a start failed")
                elif error is not None:
                    waiter.cancel()
                    raise error
            if self._console.closed:
                self.stop("nobody reads the log")
            pending = [task for task in tasks if not task.done()]
            await asyncio.wait([waiter, *pending], timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        waiter.cancel()

    async def _announce(self) -> None:
        await self.wait_until_ready(self._ready_names)
        if self._on_ready is not None:
            await self._on_ready()
        await self.wait_until_ready()
        self._phase = "ready"
        self._write_status()

    # --- one component ------------------------------------------------------------------------

    async def _keep(self, slot: _Slot) -> None:
        component = slot.component
        for name in component.needs:
            await self._slots[name].was_ready.wait()
        for name in component.wants:
            wanted = self._slots[name].was_ready.wait()
            if not await self._within(wanted, component.wants_seconds):
                self._console.say(f"{component.name} starts without {name}, which is not ready yet")
        slot.patient_since = time.monotonic()
        while not self._stopping.is_set():
            if component.command is None:
                await self._observe(slot)
                continue
            reason = await self._run_once(slot)
            if self._stopping.is_set():
                return
            if slot.state == State.DONE:
                return
            await self._back_off(slot, reason)

    async def _run_once(self, slot: _Slot) -> str:
        """Start the process, watch it until it ends; return why it ended."""
        component = slot.component
        lock = await self._lock(slot)
        try:
            if self._stopping.is_set():
                return "stopping"
            if component.prepare is not None:
                notice = component.prepare(slot.starts_without_success)
                if notice:
                    self._console.say(f"{component.name}: {notice}")
            slot.child = Child(component, lock, lambda line: self._console.line(component.name, line))
        except (OSError, ConfigurationError) as error:
            return f"cannot be started: {error}"
        finally:
            if lock is not None:
                os.close(lock)
        child = slot.child
        slot.starts += 1
        slot.starts_without_success += 1
        slot.watch = Watch(component)
        self._set(slot, State.STARTING)
        verdict = await self._attend(slot, child)
        slot.child = None
        code = child.exited.result()
        if component.runs_once and code == 0:
            slot.was_ready.set()
            self._set(slot, State.DONE)
        return verdict or describe_exit(code)

    async def _attend(self, slot: _Slot, child: Child) -> str | None:
        """Watch a child until it has ended; return the verdict when it was killed for one."""
        if slot.component.runs_once:
            await asyncio.wait([child.exited])
            return None
        verdict: str | None = None
        while not child.exited.done():
            if verdict is None and not self._stopping.is_set():
                verdict = await self._observe(slot, child.exited)
                if verdict is not None:
                    self._console.say(f"{slot.component.name} is {verdict}; killing {child.pid}")
                    child.kill()
            else:
                await asyncio.wait([child.exited])
        return verdict

    async def _observe(self, slot: _Slot, ended: asyncio.Future[int] | None = None) -> str | None:
        """Probe once, wait until the next probe is due or the child ended; return a verdict."""
        if slot.watch is None:
            slot.watch = Watch(slot.component)
        watch = slot.watch
        look = asyncio.create_task(watch.observe())
        events: list[asyncio.Future[Any]] = [look] if ended is None else [look, ended]
        await asyncio.wait(events, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set() or (ended is not None and ended.done()):
            look.cancel()
            return None
        look.result()
        if not all(self._slots[name].is_well for name in slot.component.judged_with):
            watch.excuse()
        if watch.is_busy:
            slot.patient_since = time.monotonic()
        if watch.state == State.READY and slot.state != State.READY:
            slot.was_ready.set()
            slot.starts_without_success = 0
            self._set(slot, State.READY)
        if watch.state == State.STARTING:
            self._give_up_when_late(slot, watch.problem)
        if ended is not None:
            verdict = watch.verdict()
            if verdict is not None:
                return verdict
        pause = READY_PROBE_SECONDS if watch.state == State.READY else STARTING_PROBE_SECONDS
        await self._within(ended if ended is not None else self._stopping.wait(), pause)
        return None

    async def _lock(self, slot: _Slot) -> int | None:
        """Wait until no process of an earlier run is left; return the lock's descriptor."""
        path = slot.component.lock
        if path is None:
            return None
        told = False
        while not self._stopping.is_set():
            descriptor = locks.try_lock(path)
            if descriptor is not None:
                return descriptor
            if not told:
                self._set(slot, State.WAITING)
                self._console.say(f"{slot.component.name} waits: processes of an earlier run still hold {path}")
                told = True
            self._give_up_when_late(slot, f"processes of an earlier run still hold {path}")
            await self._within(self._stopping.wait(), LOCK_POLL_SECONDS)
        return None

    async def _back_off(self, slot: _Slot, reason: str) -> None:
        component = slot.component
        well_seconds = slot.watch.well_seconds if slot.watch else 0.0
        slot.watch = None
        slot.last_reason = reason
        seconds = slot.backoff.after_failure(well_seconds=well_seconds, draw=self._draw())
        failures = slot.backoff.failures
        if component.boot_failures is not None and failures >= component.boot_failures:
            raise StartFailedError(f"{component.name} {reason}. {component.boot_hint}".rstrip())
        self._give_up_when_late(slot, reason)
        self._set(slot, State.BACKING_OFF)
        self._console.say(f"{component.name} {reason}; starting again in {seconds:.1f} s")
        await self._within(self._stopping.wait(), seconds)

    def _give_up_when_late(self, slot: _Slot, reason: str) -> None:
        limit = slot.component.boot_seconds
        if limit is None or slot.was_ready.is_set():
            return
        if time.monotonic() - slot.patient_since > limit:
            raise StartFailedError(
                f"{slot.component.name} was not ready within {limit:g} s: {reason}. {slot.component.boot_hint}".rstrip()
            )

    # --- the end ------------------------------------------------------------------------------

    async def _stop_children(self) -> None:
        for level in reversed(self._levels):
            slots = [self._slots[component.name] for component in level]
            await asyncio.gather(*(self._stop_child(slot) for slot in slots))

    async def _stop_child(self, slot: _Slot) -> None:
        child, component = slot.child, slot.component
        if child is None or child.exited.done():
            self._set(slot, State.STOPPED)
            return
        child.send(component.hasty_signal if self._hasty.is_set() else component.stop_signal)
        hurry = asyncio.create_task(self._hasty.wait())
        either: list[asyncio.Future[Any]] = [child.exited, hurry]
        await asyncio.wait(either, timeout=component.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not child.exited.done():
            child.send(component.hasty_signal)
            await asyncio.wait([child.exited], timeout=5.0)
        if not child.exited.done():
            child.kill()
            await asyncio.wait([child.exited])
        slot.child = None
        self._set(slot, State.STOPPED)

    # --- small things -------------------------------------------------------------------------

    async def _within(self, awaitable: Awaitable[Any], seconds: float) -> bool:
        """Wait for something at most so long; say whether it happened. Futures stay untouched."""
        future = asyncio.ensure_future(awaitable)
        done, _ = await asyncio.wait([future], timeout=seconds)
        if not done and not isinstance(awaitable, asyncio.Future):
            future.cancel()
        return bool(done)

    def _set(self, slot: _Slot, state: State) -> None:
        if slot.state != state:
            slot.state = state
            if state == State.READY:
                self._console.say(f"{slot.component.name} is ready")
        self._write_status()

    def _write_status(self) -> None:
        if self._status_path is None:
            return
        components = {
            name: {
                "pid": slot.child.pid if slot.child else None,
                "state": slot.state,
                "started_at": slot.child.started_at_seconds if slot.child else None,
                "starts": slot.starts,
                "last_reason": slot.last_reason,
            }
            for name, slot in self._slots.items()
        }
        status.write(
            self._status_path,
            {
                **self._facts,
                "supervisor_pid": os.getpid(),
                "phase": self._phase,
                "failure": self._failure,
                "components": components,
            },
        )
