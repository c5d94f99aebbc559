"""The three machines: each an agent in a process of its own, with its own folder and key. The third one lies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.supervision import spawn
from demo.logs import last_words

STOP_SECONDS = 20


class MachineFailed(RuntimeError):
    """An agent ended or did not join; the message names its log."""


@dataclass(frozen=True)
class Machine:
    """A machine of the story. `price_micro` is per core-hour."""

    name: str
    price_micro: int
    lies: bool


MACHINES = (
    Machine("olgas-workstation", 600_000, lies=False),
    Machine("pavels-server", 500_000, lies=False),
    Machine("lous-bargain-box", 300_000, lies=True),
)


class Fleet:
    """The running agents of the story and their logs."""

    def __init__(self) -> None:
        self._agents: dict[Path, subprocess.Popen[bytes]] = {}

    def add(self, log: Path, agent: "subprocess.Popen[bytes]") -> None:
        """An agent that was started and writes to `log`."""
        self._agents[log] = agent

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll `condition` until it holds. Raises: MachineFailed when an agent ends, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            for log, agent in self._agents.items():
                if agent.poll() is not None:
                    raise MachineFailed(f"an agent ended with code {agent.returncode}; {last_words(log)}")
            if time.monotonic() > deadline:
                raise MachineFailed(f"after {seconds:.0f} s still not: {what}; {last_words(log)}")
            time.sleep(0.2)


@contextmanager
def running(url: str, tokens: Sequence[str], folder: Path) -> Iterator[Fleet]:
    """Let the machines join `url` with their tokens and start them; stops them in the end. Raises: MachineFailed."""
    fleet = Fleet()
    with ExitStack() as stack:
        for machine, token in zip(MACHINES, tokens, strict=True):
            home = folder / machine.name
            log = folder / f"{machine.name}.log"
            home.mkdir(parents=True, exist_ok=True)
            _gridnode(log, "join", url, "--token", token, "--name", machine.name, "--home", str(home))
            fleet.add(log, stack.enter_context(_agent(machine, home, folder / "runtime", log)))
        yield fleet


def _gridnode(log: Path, *arguments: str) -> None:
    with log.open("ab") as output:
        done = subprocess.run([sys.executable, "-m", "gridnode", *arguments], stdout=output, stderr=output, check=False)
    if done.returncode:
        raise MachineFailed(f"`gridnode {arguments[0]}` ended with code {done.returncode}; {last_words(log)}")


@contextmanager
def _agent(machine: Machine, home: Path, runtime: Path, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    module = ["-m", "demo.liar"] if machine.lies else ["-m", "gridnode", "run"]
    command = [sys.executable, *module, "--home", str(home), "--runtime-root", str(runtime)]
    with log.open("ab") as output:
        process = spawn.spawn(
            command, death_signal=signal.SIGTERM, environment=os.environ, directory=Path.cwd(), output=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
