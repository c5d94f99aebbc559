"""The machines: each a `gridnode` process with a folder and key of its own, which may be killed or paused."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from config.embedded import CHECKOUT
from config.supervision import spawn
from gridnode.client import Coordinator
from gridnode.home import Home

JOIN_SECONDS = 60
STOP_SECONDS = 20
SELF_TEST_TRIES = 3
SELF_TEST_FAILED = "self_test_failed"
_DELIVERED = re.compile(r"attempt (\d+) delivered$", re.MULTILINE)


class JoinFailed(RuntimeError):
    """`gridnode join` refused; the text holds its words."""


class AgentEnded(AssertionError):
    """An agent ended by itself; the text holds its last words."""


class Machine:
    """One machine of an operator. Its agent ends with this process at the latest."""

    def __init__(self, name: str, folder: Path, runtime: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.home = folder / name
        self.log = folder / f"{name}.log"
        self._runtime = runtime
        self._environment = dict(environment)
        self._agent: subprocess.Popen[bytes] | None = None
        self._tries_left = SELF_TEST_TRIES

    @property
    def node_id(self) -> int:
        """The node that this machine has become."""
        return Home(self.home).identity().node_id

    def join(self, url: str, token: str) -> None:
        """Become a node. Raises: JoinFailed."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [*self._gridnode("join", url), "--token", token, "--name", self.name],
            cwd=CHECKOUT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=JOIN_SECONDS,
        )
        if done.returncode:
            raise JoinFailed(f"{self.name}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start the agent."""
        with self.log.open("ab") as output:
            self._agent = spawn.spawn(
                [*self._gridnode("run"), "--runtime-root", str(self._runtime)],
                death_signal=signal.SIGKILL,
                environment=self._environment,
                directory=CHECKOUT,
                output=output,
            )

    def kill(self) -> int:
        """Kill -9 the agent's process alone; return its pid."""
        agent = self._running()
        agent.kill()
        agent.wait()
        return agent.pid

    def pause(self) -> None:
        """Stop the agent's process without ending it. Its job in the sandbox goes on."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused agent go on."""
        os.kill(self._running().pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the agent, paused or not, and whatever is left of its group."""
        agent, self._agent = self._agent, None
        if agent is None:
            return
        with contextlib.suppress(ProcessLookupError):
            agent.send_signal(signal.SIGCONT)
            agent.terminate()
        try:
            agent.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
        spawn.kill_group(agent.pid)

    def has_ended(self) -> bool:
        """Whether the agent ended without being asked to."""
        return self._agent is not None and self._agent.poll() is not None

    def keep(self) -> None:
        """Start an agent again that refused to work because its self-test failed, as a service manager would.

        A busy machine without memory cgroups may miss a probe; it must then not work, and may try again.
        Raises: AgentEnded for any other end, or when it has tried too often.
        """
        if not self.has_ended():
            return
        self._tries_left -= 1
        if SELF_TEST_FAILED not in self.last_lines(1) or self._tries_left < 0:
            raise AgentEnded(f"{self.name}:\n{self.last_lines()}")
        self.start()

    def delivered(self) -> set[int]:
        """Attempts whose results the coordinator has acknowledged to this agent, by its own log."""
        return {int(found) for found in _DELIVERED.findall(self.log.read_text(errors="replace"))}

    def last_lines(self, count: int = 15) -> str:
        """The end of the agent's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def coordinator(self) -> Coordinator:
        """The coordinator as this machine's key reaches it; for what its paused agent would still have said."""
        home = Home(self.home)
        identity = home.identity()
        return Coordinator(identity.url, home.key(), identity.node_id)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._agent is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._agent

    def _gridnode(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gridnode", *arguments, "--home", str(self.home)]
