"""What the coordinator may count on: this node's state there, its signed capabilities, its standing offer.

1. State the capabilities once the sandbox has passed its self-test; no record, no work.
2. Keep one standing offer for as many lots as may be sold, while the node's state allows work.
3. Test again after a day, when boot, kernel or setup changed, and when a job found the sandbox
   unusable. Jobs that run go on; nothing new begins until the test has passed again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gridnode import capabilities, clock, inventory, selftest
from gridnode.client import Coordinator, Refused, Retired
from gridnode.home import Identity
from gridnode.patience import Backoff, jittered
from gridnode.sandbox.spec import SandboxUnavailable
from opengrid import benchmark, keys
from opengrid.messages import Benchmark, CapabilityReply, OfferReply, OfferRequest

logger = logging.getLogger(__name__)

WORKING_STATES = frozenset({"PROBATION", "ACTIVE"})
LOOK_SECONDS = 60.0
"""How often the coordinator is asked what may be sold; the owner may have changed the terms."""
FIRST_RETEST_SECONDS = 30.0
LONGEST_RETEST_SECONDS = 3600.0
FIRST_MEASURE_SECONDS, LONGEST_MEASURE_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's choices. None: as many lots as the machine has; the floor price; the default place."""

    limit_milli: int | None = None
    price_micro: int | None = None
    runtime_root: Path | None = None


class Standing:
    """Keeps the coordinator's picture of this node true.

    `is_idle` says whether no task is running; `on_slots` is called when there may be more slots than before.
    """

    def __init__(
        self,
        *,
        coordinator: Coordinator,
        identity: Identity,
        key: keys.PrivateKey,
        folder: Path,
        settings: Settings,
        proved: capabilities.Proved,
        is_idle: Callable[[], bool],
        on_slots: Callable[[], None],
    ) -> None:
        self._coordinator, self._identity, self._key = coordinator, identity, key
        self._folder, self._settings, self._proved = folder, settings, proved
        self._is_idle, self._on_slots = is_idle, on_slots
        self.node_state = ""
        self._lots = 0
        self._floor_price_micro = 0
        self._offered: OfferRequest | None = None
        self._measured: Benchmark | None = None
        self._is_measuring = False
        self._is_doubted = False
        self._is_unstated = False
        self._news = asyncio.Event()
        self._retest = Backoff(FIRST_RETEST_SECONDS, LONGEST_RETEST_SECONDS)
        self._retest_at = 0.0

    @property
    def slots(self) -> int:
        """How many tasks may run here now; 0 while the state, the sandbox or a measurement forbids new ones."""
        if self.node_state not in WORKING_STATES or self._is_doubted or self._is_measuring:
            return 0
        return self._lots

    def hear(self, state: str) -> None:
        """Take note of the node's state as a heartbeat's answer tells it."""
        if state != self.node_state:
            self._note(state)
            self._news.set()

    def _note(self, state: str) -> None:
        if state == self.node_state:
            return
        logger.info("the node is now %s", state)
        if state == "JOINED" and self.node_state:  # released from quarantine without capacity
            self._is_unstated = True
        self.node_state, self._offered = state, None
        self._on_slots()

    def doubt(self, why: str) -> None:
        """A job found the sandbox unusable: nothing new begins before it has passed its self-test again."""
        if not self._is_doubted:
            logger.error("the sandbox has to prove itself again before the next job: %s", why)
        self._is_doubted = True
        self._news.set()

    async def keep(self) -> None:
        """State the capabilities, then look after them and the offer for ever.

        Raises: Refused for the first record, Retired.
        """
        await self._state(refusal="")
        await self._keep_offer()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._next_look_seconds()):
                    await self._news.wait()
            self._news.clear()
            try:
                if self._must_test() and asyncio.get_running_loop().time() >= self._retest_at:
                    await self._test()
                else:
                    await self._look()
                await self._keep_offer()
            except Retired:
                raise
            except Refused as error:
                logger.error("the coordinator does not take what this node states: %s", error)

    def _must_test(self) -> bool:
        record, sandbox = self._proved.record, self._proved.sandbox
        is_current = selftest.is_current(record, sandbox, now=clock.now())
        return self._is_doubted or self._is_unstated or not is_current

    def _next_look_seconds(self) -> float:
        if not self._must_test():
            return jittered(LOOK_SECONDS)
        until_test = self._retest_at - asyncio.get_running_loop().time()
        return min(max(until_test, 0.0), jittered(LOOK_SECONDS))

    async def _test(self) -> None:
        """Run the self-test again and state the outcome, whatever it is."""
        self._retest_at = asyncio.get_running_loop().time() + self._retest.wait_seconds()
        refusal = ""
        try:
            record = await asyncio.to_thread(selftest.run, self._proved.sandbox, now=clock.now())
            self._proved = replace(self._proved, record=record)
            selftest.require_passed(record)
        except SandboxUnavailable as error:
            refusal = str(error)
            self._is_doubted = True
            logger.error("no job can be taken: %s", refusal)
        await self._state(refusal=refusal)
        if not refusal:
            logger.info("the sandbox passed its self-test again")
            self._retest.reset()
            self._is_doubted = False
            self._on_slots()

    async def _state(self, *, refusal: str) -> None:
        """Sign and send the record; the coordinator says what may be sold."""
        found = await asyncio.to_thread(inventory.discover, self._folder)
        record = capabilities.statement(
            self._proved,
            node_id=self._identity.node_id,
            found=found,
            measured=await self._measure(capabilities.usable_cores(found)),
            limit_milli=self._settings.limit_milli,
            made_at=self._coordinator.now(),
            refusal=refusal,
        )
        signed = capabilities.signed(self._key, record)
        reply = await self._coordinator.persist(
            lambda: self._coordinator.send("POST", "/node/capabilities", signed, CapabilityReply)
        )
        logger.info("capabilities taken: %s, %s lots %s", reply.node_state, reply.sellable_lots, reply.reason)
        self._is_unstated = False
        self._take(reply)

    async def _measure(self, cores: int) -> Benchmark:
        """Measured while nothing else runs here; otherwise the last figures stand. The first are waited for."""
        backoff = Backoff(FIRST_MEASURE_SECONDS, LONGEST_MEASURE_SECONDS)
        while self._measured is None or self._is_idle():
            self._is_measuring = True
            try:
                self._measured = await asyncio.to_thread(capabilities.measure, cores)
                break
            except benchmark.BenchmarkFailed as error:
                logger.warning("%s; %s", error, "the last figures stand" if self._measured else "measuring again")
                if self._measured is not None:
                    break
            finally:
                self._is_measuring = False
            await asyncio.sleep(backoff.wait_seconds())
        return self._measured

    async def _look(self) -> None:
        self._take(
            await self._coordinator.persist(lambda: self._coordinator.send("GET", "/node", None, CapabilityReply))
        )

    def _take(self, reply: CapabilityReply) -> None:
        self._lots, self._floor_price_micro = reply.sellable_lots, reply.floor_price_micro
        self._note(reply.node_state)
        self._on_slots()

    async def _keep_offer(self) -> None:
        """Put the offer on the market where it is not there as wanted. The same offer again changes nothing."""
        if self.node_state not in WORKING_STATES or not self._lots:
            return
        price = max(self._settings.price_micro or 0, self._floor_price_micro)
        offer = OfferRequest(lots=self._lots, price_micro=price)
        if offer == self._offered:
            return
        try:
            kept = await self._coordinator.persist(
                lambda: self._coordinator.send("PUT", "/node/offer", offer, OfferReply)
            )
        except Retired:
            raise
        except Refused as error:
            logger.warning("the offer was refused: %s", error)
            return
        self._offered = offer
        logger.info("offering at most %s lots at %s micro-credits per unit-hour", kept.lots, kept.price_micro)
