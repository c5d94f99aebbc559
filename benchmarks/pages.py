"""(f) Time to the first byte of every page that a member sees, against a bare page of 100 rows."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from accounts.models import Membership
from benchmarks import loops, work, world
from benchmarks.crews import crew
from benchmarks.grids import Grid
from benchmarks.plan import Plan, interleave, percentile
from benchmarks.report import Row
from common.clock import database_now
from config.embedded import CHECKOUT
from config.supervision import spawn
from scheduler.models import Attempt

TASKS = 200
JOBS = 30
REQUESTS = 20
BARE_SECONDS = 60
NOT_PAGES = ("api:", "account_logout", "account_reauthenticate", "mfa_")
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def measure(grid: Grid, plan: Plan) -> list[Row]:
    """A member with jobs, a node and money looks at each page in turn, between two looks at the bare one."""
    member, known = _scene(grid, plan)
    cookies = {"sessionid": _session(member)}
    with _bare() as bare, httpx.Client(base_url=grid.url, cookies=cookies, timeout=60) as client:
        paths = _paths(client, known)
        requests = max(2, round(REQUESTS * plan.seconds / 3))
        found = interleave(
            {"bare": lambda: _p95(bare, "/", requests)}
            | {path: lambda path=path: _p95(client, path, requests) for path in paths},
            plan.windows,
        )
    worst = max(paths, key=lambda path: percentile(found[path], 50))
    rows = [Row(f"(f) {path} first byte, p95", "ms", found[path], found["bare"], "ms bare") for path in sorted(paths)]
    rows.append(
        Row(
            f"(f) slowest of {len(paths)} pages, p95 ({worst})",
            "ms",
            found[worst],
            found["bare"],
            "ms bare",
            "<= 100 ms",
            lambda p95, _: p95 <= 100,
        )
    )
    return rows


def _scene(grid: Grid, plan: Plan) -> tuple[Membership, dict[str, int]]:
    """A member who operates a node, submitted jobs and has published a model; others' machines have done work."""
    people = world.people("pages")
    member = people.member()
    people.credit(member)
    own, other = world.machine(member, lots=4), world.machine(people.member(), lots=16)
    model = work.published(member, database_now())
    made = work.job(member, model, tasks=TASKS, lots=16)
    for _ in range(JOBS):
        work.job(member, model, tasks=2, lots=0)
    url = grid.url  # asked here: a client is no parent of the platform
    acts = {"work": lambda _number, until: loops.deliver_until(url, other, until)}
    with crew(1, acts) as agents:
        agents.do("work", plan.seconds)
    attempt = Attempt.objects.filter(task__job=made).order_by("pk").first()
    known = {
        "job_id": made.pk,
        "node_id": own.node_id,
        "version_id": model.pk,
        "model_id": model.model_id,
        "name": model.model.name,
        "version": model.version,
        "attempt_id": attempt.pk if attempt else 0,
        "number": 1,
        "membership_id": member.pk,
    }
    return member, known


def _session(member: Membership) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(member.user_id)
    session[BACKEND_SESSION_KEY] = BACKEND
    session[HASH_SESSION_KEY] = member.user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def _paths(client: httpx.Client, known: dict[str, int]) -> list[str]:
    """Addresses that have a name and answer this member with a page."""
    found = []
    for name, arguments in _named(get_resolver()):
        if name.startswith(NOT_PAGES) or not arguments <= known.keys():
            continue
        with contextlib.suppress(NoReverseMatch):
            path = reverse(name, kwargs={argument: known[argument] for argument in arguments})
            answer = client.get(path)
            if answer.status_code == 200 and answer.headers["content-type"].startswith("text/html"):
                found.append(path)
    return sorted(set(found))


def _named(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Full name and arguments of every address."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern) and entry.name:
            yield prefix + entry.name, set(entry.pattern.converters) | set(resolver.pattern.converters)
        elif isinstance(entry, URLResolver) and entry.app_name != "admin":
            yield from _named(entry, f"{prefix}{entry.namespace}:" if entry.namespace else prefix)


def _p95(client: httpx.Client, path: str, requests: int) -> float:
    """Milliseconds until the head of the answer is there."""
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        with client.stream("GET", path) as answer:
            took.append((time.perf_counter() - began) * 1000)
            answer.read()
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
    return percentile(took, 95)


@contextlib.contextmanager
def _bare() -> Iterator[httpx.Client]:
    """The anchor, served by uvicorn on the same database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = spawn.spawn(
        [sys.executable, "-m", "benchmarks.bare", str(port)],
        death_signal=signal.SIGKILL,
        directory=CHECKOUT,
        output=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            end = time.monotonic() + BARE_SECONDS
            while True:
                try:
                    client.get("/")
                    break
                except httpx.TransportError as error:
                    if time.monotonic() > end:
                        raise TimeoutError("the bare page was not served") from error
                    time.sleep(0.05)
            yield client
    finally:
        process.kill()
        process.wait()
