"""The acts of the story in their order, with what is shown while they happen."""

import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from accounts.models import Cooperative
from common.clock import database_now
from config import embedded
from demo import digits, job, machines, people, platform, publisher, story
from nodes.core import states
from nodes.models import Node

READY_SECONDS = 180


def run(*, run_dir: Path, facts_file: Path, port: int, is_checked: bool, serves: bool) -> int:
    """Tell the whole story; returns the exit code."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if embedded.endpoints().embedded_postgres:
        platform.forget(run_dir)
    seconds: dict[str, float] = {}
    with ExitStack() as stack:
        with _phase("platform", "Starting PostgreSQL, Redis, web, worker, beat and matcher", seconds):
            grid = stack.enter_context(platform.running(run_dir, port))
        if Cooperative.objects.exists():
            print("  This database already holds a cooperative; the story needs an empty one (see DATABASE_URL).")
            return 2
        return _tell(grid, facts_file, is_checked, serves, seconds)


def _tell(grid: platform.Platform, facts_file: Path, is_checked: bool, serves: bool, seconds: dict[str, float]) -> int:
    assurance = "quorum-2" if is_checked else "none"
    with _phase("people", "Founding a cooperative with seven members and first credit", seconds):
        crowd = people.found(now=database_now(), is_checked=is_checked)
        tokens = [
            people.join_token(operator, name=machine.name, price_micro=machine.price_micro, now=database_now())
            for operator, machine in zip(crowd.operators, machines.MACHINES, strict=True)
        ]
    with _phase("model", "Fitting a classifier on 898 handwritten digits and publishing it, signed", seconds):
        scans = digits.load()
        model = digits.fit_and_export(scans)
        published = publisher.publish(_client(grid, crowd.publisher, ["models:write"]), model, now=database_now())
    with machines.running(grid.url, tokens, grid.run_dir / "machines") as fleet:
        with _phase("nodes", "Three strangers' machines join, prove their sandboxes and measure themselves", seconds):
            fleet.wait_for(_machines_work, READY_SECONDS, "three nodes on the market")
        nodes = list(Node.objects.order_by("pk"))
        before = story.scores(nodes)
        mia = _client(grid, crowd.member, ["jobs:write", "jobs:read"])
        with _phase("job", f"Mia's job: classify all {len(scans.scans):,} scans, assurance {assurance}", seconds):
            job_id = job.submit(mia, scans.scans, published.version_id, assurance)
            ended = job.follow(mia, job_id, _show_progress)
        found = story.facts(
            job=ended,
            attempts=job.attempts(mia, job_id),
            labels=job.labels(mia, job_id, len(scans.scans)),
            truth=story.direct_run(model, scans),
            before=before,
            nodes=list(Node.objects.order_by("pk")),
            seconds=seconds,
        )
        facts_file.parent.mkdir(parents=True, exist_ok=True)
        facts_file.write_text(json.dumps(found, indent=2) + "\n")
        print(story.tell(found))
        print(f"\n  The facts are in {facts_file}")
        if serves:
            _serve(grid, crowd)
    return 0 if ended["state"] == "DONE" else 1


def _machines_work() -> bool:
    return Node.objects.filter(state__in=states.WORKING, orders__state="OPEN").distinct().count() == len(
        machines.MACHINES
    )


def _client(grid: platform.Platform, membership: Any, scopes: list[str]) -> httpx.Client:
    token = people.api_token(membership, scopes, now=database_now())
    return httpx.Client(base_url=grid.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def _show_progress(found: dict[str, Any]) -> None:
    tasks = found["tasks"]
    ended = tasks["accepted"] + tasks["failed"] + tasks["cancelled"]
    bar = "█" * (24 * ended // max(tasks["total"], 1))
    waiting = found["waiting"].replace("_", " ")
    words = f"    {bar:<24} {ended}/{tasks['total']} tasks, {tasks['running']} running  {waiting}"
    if sys.stdout.isatty():
        print(f"\r{words:<100}", end="", flush=True)
    elif ended == tasks["total"]:
        print(words, flush=True)


def _serve(grid: platform.Platform, crowd: people.People) -> None:
    print(f"\n  Serving at {grid.url} until Ctrl-C. Everybody's password is {people.PASSWORD}:")
    for membership in (crowd.steward, crowd.member, *crowd.operators):
        print(f"    {membership.user.email:<20} {', '.join(membership.roles).lower()}")
    sys.stdout.flush()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    print("\n  Stopping.")


@contextmanager
def _phase(name: str, words: str, seconds: dict[str, float]) -> Iterator[None]:
    """Say what happens and note how long it took."""
    print(f"  {words} …", flush=True)
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began
    print(f"\n    {seconds[name]:.1f} s" if sys.stdout.isatty() else f"    {seconds[name]:.1f} s", flush=True)
