"""Judges one running component: is it ready, does it progress, does it stand still?"""

import asyncio
import time
from dataclasses import dataclass, field

from config.supervision.component import BusyError, Component, ProbeFailedError, State

PROBE_SECONDS = 5.0


@dataclass
class Watch:
    """The observations of one run of a component, by the monotonic clock."""

    component: Component
    began: float = field(default_factory=time.monotonic)
    ready_at: float | None = None
    progressed_at: float = field(default_factory=time.monotonic)
    answered: bool = False
    is_busy: bool = False
    problem: str = "no answer yet"
    _token: object = None

    @property
    def state(self) -> State:
        """READY from the first progress on."""
        return State.STARTING if self.ready_at is None else State.READY

    @property
    def is_well(self) -> bool:
        """Ready, answered the last probe and progressed within three quarters of its limit."""
        still = time.monotonic() - self.progressed_at
        return self.ready_at is not None and self.answered and still < self.component.stall_seconds * 0.75

    @property
    def well_seconds(self) -> float:
        """How long it has been ready; 0 when it never was."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    async def observe(self) -> None:
        """Probe once and take note of the answer."""
        component = self.component
        probe = component.ready if self.ready_at is None else component.watch or component.ready
        if probe is None:
            self._progress()
            return
        try:
            token = await asyncio.wait_for(probe(), PROBE_SECONDS)
        except TimeoutError:
            self.answered, self.problem = False, f"no answer within {PROBE_SECONDS:g} s"
            return
        except ProbeFailedError as error:
            self.answered, self.problem = False, str(error)
            self.is_busy = isinstance(error, BusyError)
            if self.is_busy:
                self.excuse()
            return
        self.answered = True
        self.is_busy = False
        if token is None:
            self._progress()
            return
        if self._token is None:
            self._token = token  # what an earlier process left behind proves nothing
        elif token != self._token:
            self._token = token
            self._progress()
        self.problem = f"its progress stands still at {self._token}"

    def excuse(self) -> None:
        """Start the clock anew, because something it depends on is not well."""
        self.progressed_at = time.monotonic()

    def verdict(self) -> str | None:
        """Return why it has to be restarted, or None."""
        component = self.component
        limit = component.start_seconds if self.ready_at is None else component.stall_seconds
        if time.monotonic() - self.progressed_at <= limit:
            return None
        word = "not ready" if self.ready_at is None else "stalled"
        return f"{word} for {limit:g} s: {self.problem}"

    def _progress(self) -> None:
        self.progressed_at = time.monotonic()
        self.answered = True
        if self.ready_at is None:
            self.ready_at = self.progressed_at
