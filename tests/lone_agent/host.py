"""The platform the newcomer joins: a cooperative with a validator at work and a job that lacks one more owner."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from accounts.models import Membership
from common.clock import database_now
from demo import digits, job, people, publisher
from ledger import queries as ledger
from marketplace.models import Lease
from nodes import services as nodes
from nodes.core import states
from nodes.models import CapabilityStatement, Node
from scheduler.models import Attempt

ROWS = 150
READY_SECONDS = 120
POLL_SECONDS = 0.05


class NotReady(Exception):
    """The scene could not be set; the text says what did not happen."""


@dataclass(frozen=True)
class Scene:
    """What waits for the newcomer: its token, its owner's wallet (still empty), the job."""

    token: str
    wallet: str
    job_id: int
    tasks: int


@contextmanager
def scene(url: str, folder: Path) -> Iterator[Scene]:
    """A job whose tasks have all been run by a validator of the cooperative and wait for a second owner."""
    crowd = people.found(now=database_now(), is_checked=True)
    owner, newcomer, sleeper = crowd.operators
    with _agent(url, folder, owner, "validator") as agent:
        _until(lambda: _offered("validator"), agent)
        validator = Node.objects.get(name="validator")
        nodes.name_validator(by=crowd.steward, node=validator, is_validator=True, now=database_now())
        _let_sleep(url, folder, sleeper)
        scans = digits.load()
        model = digits.fit_and_export(scans)
        with _client(url, crowd.publisher, ["models:write"]) as http:
            published = publisher.publish(http, model, now=database_now())
        with _client(url, crowd.member, ["jobs:write", "jobs:read"]) as http:
            job_id = job.submit(http, scans.scans[:ROWS], published.version_id, "quorum-2")
        tasks = -(-ROWS // job.ROWS_PER_TASK)
        _until(lambda: Attempt.objects.filter(state=Attempt.State.SUBMITTED).count() == tasks, agent)
        if ledger.balance(newcomer.wallet):
            raise NotReady("the newcomer's owner has been paid before the newcomer joined")
        token = people.join_token(newcomer, name="newcomer", price_micro=500_000, now=database_now())
        yield Scene(token, newcomer.wallet, job_id, tasks)


def milestones(found: Scene) -> dict[str, Callable[[], bool]]:
    """What happens on the way to the first pay, in order; each with how to see that it has happened."""
    mine = Attempt.objects.filter(node__name="newcomer")
    return {
        "joined": lambda: Node.objects.filter(name="newcomer").exists(),
        "capabilities stated": lambda: CapabilityStatement.objects.filter(node__name="newcomer").exists(),
        "first lease": lambda: Lease.objects.filter(node__name="newcomer").exists(),
        "first claim": mine.exists,
        "first result": mine.filter(submitted_at__isnull=False).exists,
        "first settled posting": lambda: ledger.balance(found.wallet) > 0,
    }


def _let_sleep(url: str, folder: Path, owner: Membership) -> None:
    """A second owner's machine that could run the job, but is drained and off: without it the job would be refused."""
    with _agent(url, folder, owner, "sleeper") as agent:
        _until(lambda: _offered("sleeper"), agent)
        drain = [sys.executable, "-m", "gridnode", "drain", "--home", str(folder / "sleeper")]
        subprocess.run(drain, check=True, capture_output=True)


def _offered(name: str) -> bool:
    return Node.objects.filter(name=name, state__in=states.WORKING, orders__state="OPEN").exists()


@contextmanager
def _agent(url: str, folder: Path, owner: Membership, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The checkout's own agent on a node of `owner`; its lines go to <name>.log."""
    token = people.join_token(owner, name=name, price_micro=500_000, now=database_now())
    home = folder / name
    home.mkdir(mode=0o755)
    options = ["--home", str(home), "--runtime-root", str(folder / "runtime-of-the-checkout")]
    command = [sys.executable, "-m", "gridnode", "join", url, "--token", token, *options, "--run"]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _client(url: str, membership: Membership, scopes: list[str]) -> httpx.Client:
    token = people.api_token(membership, scopes, now=database_now())
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def _until(condition: Callable[[], bool], agent: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if agent.poll() is not None:
            raise NotReady(f"an agent ended with {agent.returncode}; see the logs")
        if time.monotonic() > deadline:
            raise NotReady(f"the machines were not so far after {READY_SECONDS} s; see the logs")
        time.sleep(POLL_SECONDS)
