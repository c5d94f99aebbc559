"""The agent's life: prove the sandbox, state it, claim work, run it, report it, beat.

1. Open the sandbox; without a passed self-test no job is ever asked for.
2. Report attempts of an earlier run as lost, so that nobody waits for them.
3. Beat every few seconds with progress; stop attempts that are no longer this node's.
4. Keep capabilities and offer true (standing.py).
5. When woken, or polling, claim as many tasks as there are free slots; each runs on its own.
A coordinator that is away is waited for; every retry is signed anew. No task, whatever it does, ends
the agent; when the agent ends, its jobs end and are reported as lost.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import psutil

from gridnode import capabilities, execution, waking
from gridnode.client import FIRST_RETRY_SECONDS, Coordinator, Refused, Retired, Unreachable
from gridnode.execution import Executor, Result, TaskFailed
from gridnode.home import Home, HomeUnusable, OpenAttempt
from gridnode.patience import Backoff, jittered
from gridnode.standing import Settings, Standing
from opengrid.errors import OpengridError
from opengrid.messages import (
    AttemptBeat,
    BlobRef,
    ClaimReply,
    ClaimRequest,
    ExitReason,
    FailureRequest,
    HeartbeatReply,
    HeartbeatRequest,
    ResultReply,
    ResultRequest,
    TaskAssignment,
)

__all__ = ["Agent", "Retired", "Running", "Settings"]

logger = logging.getLogger(__name__)

LONGEST_HEARTBEAT_SECONDS = 15
"""Whatever the coordinator asked for at joining: later than this it would take the node for dark."""
BEAT_ANSWER_SECONDS = 8.0
"""A heartbeat that hangs longer is given up and sent anew, well before the node would be taken for dark."""
LONGEST_POLL_SECONDS = 60
LONGEST_WAIT_SECONDS = 30.0
FAREWELL_SECONDS = 2.0
"""How long the coordinator has, when the agent ends, to take in what was lost with it."""
MOST_TASKS_PER_CLAIM = 100
LOG_BUDGET = 100_000
"""Characters of log tails in one heartbeat, so that it stays far below what a coordinator accepts."""
SPARE_THREADS = 32


@dataclass(slots=True)
class Running:
    """A task that is being worked on, and how far it is."""

    task: TaskAssignment
    work: "asyncio.Task[None] | None" = None
    progress_permille: int = 0
    log_tail: str = ""
    is_stale: bool = False
    is_reporting: bool = False
    """The result is on its way: the answer to it says whether the attempt was still this node's."""
    is_surplus: bool = False
    """More was handed out than asked for: it goes back at once."""


class Agent:
    """One node at work. `run` ends only when it is stopped or the node is retired."""

    def __init__(self, home: Home, settings: Settings) -> None:
        """Raises: home.NotJoined, home.HomeUnusable, keys.BadKey, client.BadAddress."""
        self.home, self.settings = home, settings
        self.identity = home.identity()
        self.key = home.key()
        self.coordinator = Coordinator(self.identity.url, self.key, self.identity.node_id)
        self.running: dict[int, Running] = {}
        self.lost: dict[int, OpenAttempt] = {}
        self._wake = asyncio.Event()
        self._is_stopping = False

    def stop(self, life: "asyncio.Future[None]") -> None:
        """End `life`, which is this agent's `run`, and all its jobs. Asking twice changes nothing."""
        if not self._is_stopping:
            self._is_stopping = True
            life.cancel()

    async def run(self) -> None:
        """Work until stopped.

        Raises: SandboxUnavailable, RuntimeUnavailable, HomeUnusable; in a group: Retired, Refused.
        """
        self._make_threads()
        try:
            proved = await asyncio.to_thread(capabilities.open_sandbox, self.home.work, self.settings.runtime_root)
            try:
                await self.live(proved)
            finally:
                await asyncio.to_thread(proved.sandbox.close)
        finally:
            await self.coordinator.close()

    def make_executor(self, proved: capabilities.Proved) -> Executor:
        """What carries out assignments."""
        return Executor(self.home, self.coordinator, proved)

    def _make_threads(self) -> None:
        """Every running job waits in a thread; none of them may keep the agent's own work waiting."""
        count = 2 * (psutil.cpu_count() or 1) + SPARE_THREADS
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(count, "gridnode"))

    async def live(self, proved: capabilities.Proved) -> None:
        """Work in a sandbox that passed its self-test, until stopped. Raises: as `run`."""
        logger.info("sandbox passed its self-test: %s", ", ".join(probe.name for probe in proved.record.probes))
        self.executor = self.make_executor(proved)
        try:
            self.executor.prepare()
        except OSError as error:
            raise HomeUnusable(f"the agent's folder cannot be used: {error}") from error
        self.lost = {attempt.attempt_id: attempt for attempt in self.home.open_attempts()}
        self.standing = Standing(
            coordinator=self.coordinator,
            identity=self.identity,
            key=self.key,
            folder=self.home.folder,
            settings=self.settings,
            proved=proved,
            is_idle=lambda: not self.running,
            on_slots=self._wake.set,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_lasting("the heartbeat", self._beat))
                group.create_task(_lasting("reporting lost attempts", self._report_lost))
                group.create_task(_lasting("keeping the offer", self.standing.keep))
                group.create_task(
                    _lasting("the wake-up socket", partial(waking.listen, self.coordinator, self._wake.set))
                )
                group.create_task(_lasting("claiming", partial(self._claim, group)))
        finally:
            await self._say_farewell()

    # --- heartbeat ---------------------------------------------------------------------------------

    async def _beat(self) -> None:
        rhythm = min(self.identity.heartbeat_seconds, LONGEST_HEARTBEAT_SECONDS)
        backoff = Backoff(rhythm, LONGEST_WAIT_SECONDS)
        while True:
            wait = jittered(rhythm)
            try:
                await self._send_beat()
                backoff.reset()
            except Unreachable as error:
                if error.retry_after_seconds is not None:
                    wait = backoff.wait_seconds(error.retry_after_seconds)
            except Retired:
                raise
            except Refused as error:
                logger.error("the heartbeat was refused: %s", error)
                wait = backoff.wait_seconds()
            await asyncio.sleep(wait)

    async def _send_beat(self) -> None:
        room = LOG_BUDGET // max(1, len(self.running))
        beat = HeartbeatRequest(
            slots_free=max(0, self.standing.slots - len(self.running)),
            load_permille=_load_permille(),
            attempts=tuple(
                AttemptBeat(
                    attempt_id=running.task.attempt_id,
                    token=running.task.token,
                    progress_permille=running.progress_permille,
                    log_tail=running.log_tail[-room:],
                )
                for running in self.running.values()
            ),
        )
        reply = await self.coordinator.send(
            "POST", "/node/heartbeat", beat, HeartbeatReply, within_seconds=BEAT_ANSWER_SECONDS
        )
        for attempt_id in reply.stale_attempt_ids:
            self._stop(attempt_id)
        self.standing.hear(reply.node_state)
        if reply.work_waiting:
            self._wake.set()

    def _stop(self, attempt_id: int) -> None:
        running = self.running.get(attempt_id)
        if running is not None and running.work is not None and not (running.is_stale or running.is_reporting):
            logger.info("attempt %s is no longer ours; stopping it", attempt_id)
            running.is_stale = True
            running.work.cancel()

    # --- claiming ----------------------------------------------------------------------------------

    async def _claim(self, group: asyncio.TaskGroup) -> None:
        """One claim at a time, for as many tasks as there are free slots."""
        poll = min(self.identity.poll_seconds, LONGEST_POLL_SECONDS)
        backoff = Backoff(FIRST_RETRY_SECONDS, LONGEST_WAIT_SECONDS)
        while True:
            self._wake.clear()  # before asking: what wakes the agent while it asks must not be lost
            free = self.standing.slots - len(self.running)
            if free > 0:
                try:
                    got = await self._claim_once(free, group)
                    backoff.reset()
                    if got:
                        continue
                except Unreachable as error:
                    await asyncio.sleep(backoff.wait_seconds(error.retry_after_seconds))
                    continue
                except Refused as error:
                    logger.info("no work: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(jittered(poll)):
                    await self._wake.wait()

    async def _claim_once(self, free: int, group: asyncio.TaskGroup) -> int:
        """How many tasks were handed out. Raises: Unreachable, Refused."""
        asked = min(free, MOST_TASKS_PER_CLAIM)
        reply = await self.coordinator.send("POST", "/node/claim", ClaimRequest(max_tasks=asked), ClaimReply)
        new = {task.attempt_id: task for task in reply.tasks if task.attempt_id not in self.running}
        for number, task in enumerate(new.values()):
            running = Running(task, is_surplus=number >= asked)
            self.running[task.attempt_id] = running
            running.work = group.create_task(self._work(running))
        self._save_open()
        return len(new)

    # --- working -----------------------------------------------------------------------------------

    async def _work(self, running: Running) -> None:
        """One task from files to result; whatever happens, the slot is free again in the end."""
        task = running.task
        try:
            await self._carry_out(running)
        except asyncio.CancelledError:
            if not running.is_stale:
                raise  # the agent is ending; `running` still says what is lost with it
            logger.info("attempt %s was stopped", task.attempt_id)
        except Exception:
            logger.exception("attempt %s ended without a report", task.attempt_id)
        finally:
            self.executor.clean(task)
        self.running.pop(task.attempt_id, None)
        self._save_open()
        self._wake.set()

    async def _carry_out(self, running: Running) -> None:
        task = running.task
        try:
            if running.is_surplus:
                raise TaskFailed(ExitReason.LOST, "handed out beyond what the node asked for")
            await self._deliver(running)
        except TaskFailed as error:
            logger.warning("attempt %s failed: %s", task.attempt_id, error)
            if error.reason is ExitReason.SANDBOX_UNAVAILABLE:
                self.standing.doubt(error.detail)
            await self._report_failure(task, error)
        except Refused as error:
            logger.warning("attempt %s: %s", task.attempt_id, error)
            if error.status in (413, 422):
                await self._report_failure(task, TaskFailed(ExitReason.BAD_OUTPUT, str(error)))
        except Exception as error:
            logger.exception("attempt %s met an error of the agent itself", task.attempt_id)
            await self._report_failure(task, TaskFailed(ExitReason.LOST, f"the agent: {type(error).__name__}"))

    async def _deliver(self, running: Running) -> None:
        """Run the task, upload what came out, hand in the receipt. Raises: TaskFailed, Refused, OSError."""
        task = running.task

        def on_progress(permille: int, tail: str) -> None:
            running.progress_permille, running.log_tail = permille, tail

        result = await self.executor.run(task, on_progress)
        request = await self._upload(task, result)
        path = f"/node/attempts/{task.attempt_id}/result"
        running.is_reporting = True
        await self.coordinator.persist(lambda: self.coordinator.send("POST", path, request, ResultReply))
        logger.info("attempt %s delivered", task.attempt_id)

    async def _upload(self, task: TaskAssignment, result: Result) -> ResultRequest:
        outputs: list[BlobRef] = []
        for file in execution.output_files(result):
            path = f"/node/attempts/{task.attempt_id}/{task.token}/outputs/{file.name}"
            outputs.append(await self.coordinator.persist(partial(self.coordinator.upload, path, file)))
        receipt = self.executor.receipt(task, result, tuple(outputs), self.identity.node_id)
        return ResultRequest(receipt=receipt, signature=execution.sign_receipt(self.key, receipt))

    # --- what did not work out ------------------------------------------------------------------

    async def _report_failure(self, task: TaskAssignment, failure: TaskFailed) -> None:
        attempt = OpenAttempt(task.attempt_id, task.token)
        try:
            await self.coordinator.persist(lambda: self._fail(attempt, failure))
        except Refused as error:
            logger.info("the failure of attempt %s was not taken in: %s", task.attempt_id, error)

    async def _fail(self, attempt: OpenAttempt, failure: TaskFailed) -> ResultReply:
        request = FailureRequest(token=attempt.token, exit_reason=failure.reason, detail=failure.detail)
        path = f"/node/attempts/{attempt.attempt_id}/failure"
        return await self.coordinator.send("POST", path, request, ResultReply)

    async def _report_lost(self) -> None:
        failure = TaskFailed(ExitReason.LOST, "the agent was restarted")
        for attempt in list(self.lost.values()):
            try:
                await self.coordinator.persist(partial(self._fail, attempt, failure))
            except Refused as error:
                logger.info("attempt %s is no longer ours: %s", attempt.attempt_id, error.code)
            self.lost.pop(attempt.attempt_id)
            self._save_open()

    async def _say_farewell(self) -> None:
        """Report what was running, if the coordinator answers soon; otherwise the next start does."""
        failure = TaskFailed(ExitReason.LOST, "the agent was stopped")
        attempts = [OpenAttempt(running.task.attempt_id, running.task.token) for running in self.running.values()]

        async def report(attempt: OpenAttempt) -> None:
            with suppress(Refused):  # somebody else has it, so that it is not lost with this agent
                await self._fail(attempt, failure)
            self.running.pop(attempt.attempt_id)

        if attempts:
            reports = [asyncio.create_task(report(attempt)) for attempt in attempts]
            await asyncio.wait(reports, timeout=FAREWELL_SECONDS)
            for unfinished in reports:
                unfinished.cancel()
            for outcome in await asyncio.gather(*reports, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, Unreachable):
                    logger.error("an attempt could not be reported as lost", exc_info=outcome)
        self._save_open()

    def _save_open(self) -> None:
        running = (OpenAttempt(entry.task.attempt_id, entry.task.token) for entry in self.running.values())
        try:
            self.home.save_open_attempts([*self.lost.values(), *running])
        except OSError as error:
            logger.error("what is running could not be noted: %s", error)


async def _lasting(what: str, act: Callable[[], Awaitable[None]]) -> None:
    """Do `act`, and begin it again after an error nobody expected; what is expected ends the agent."""
    backoff = Backoff(1.0, LONGEST_WAIT_SECONDS)
    while True:
        try:
            await act()
            return
        except (Refused, OpengridError):
            raise
        except Exception:
            logger.exception("%s met an error of the agent itself and begins again", what)
        await asyncio.sleep(backoff.wait_seconds())


def _load_permille() -> int:
    one_minute, _, _ = os.getloadavg()
    return int(1000 * one_minute / (psutil.cpu_count() or 1))
