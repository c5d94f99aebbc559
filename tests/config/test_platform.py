"""`manage.py up`, whole: it comes up, every process may be killed, and nothing is left at the end."""

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

import psutil
import pytest

from config.supervision import running

KILLABLE = ("web", "worker", "beat", "matcher", "redis", "postgres")
OWN_SERVERS = {"DATABASE_URL": "", "REDIS_URL": "", "COMMONGRID_STALL_SECONDS": "10"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("platform") / "run"
    started = running.start_platform(run_dir, environment=OWN_SERVERS)
    try:
        started.wait_ready()
        yield started
    finally:
        started.forget()


def descendants(platform: running.RunningPlatform) -> list[psutil.Process]:
    return psutil.Process(platform.process.pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def answers(platform: running.RunningPlatform, page: str) -> bool:
    try:
        with urllib.request.urlopen(f"{platform.url}{page}", timeout=10) as response:
            return response.status == 200
    except urllib.error.HTTPError:
        return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("component", KILLABLE)
def test_a_killed_process_is_back_soon_and_the_site_serves(platform, eventually, component):
    # the matcher holds its election in a session of PostgreSQL and rightly ends with it
    touched = {component, "matcher"} if component == "postgres" else {component}
    others = {name: platform.starts(name) for name in KILLABLE if name not in touched}

    platform.wait_restarted(component, platform.kill(component))

    eventually(lambda: answers(platform, "/healthz") and answers(platform, "/readyz"), 5.0)
    assert platform.status()["components"][component]["last_reason"] == "was killed by SIGKILL"
    assert {name: platform.starts(name) for name in others} == others


@pytest.mark.timeout(600)
def test_a_worker_that_lives_but_stands_still_is_restarted_as_stalled(platform):
    before = {name: platform.starts(name) for name in KILLABLE}

    stopped = platform.kill("worker", signal.SIGSTOP)
    platform.wait_restarted("worker", stopped)

    reason = platform.status()["components"]["worker"]["last_reason"]
    assert reason.startswith("stalled for 10 s: its progress stands still")
    assert {name: platform.starts(name) for name in KILLABLE} == before | {"worker": before["worker"] + 1}


def test_a_second_supervisor_for_the_same_directory_is_refused(platform):
    log = platform.run_dir / "second.log"

    second = running.start_platform(platform.run_dir, environment=OWN_SERVERS, log=log)
    code = second.process.wait(timeout=60)

    assert code == 1
    assert "already runs for" in second.last_lines()
    assert platform.process.poll() is None


@pytest.mark.timeout(600)
def test_a_killed_supervisor_leaves_no_process_and_the_next_one_starts_at_once(run_dir, eventually):
    with running.start_platform(run_dir, environment=OWN_SERVERS) as first:
        first.wait_ready("web", "worker")
        processes = descendants(first)
        first.process.kill()
        first.process.wait()

    with running.start_platform(run_dir, environment=OWN_SERVERS) as second:
        second.wait_ready("web")
        later_processes = descendants(second)
        code = second.stop()

    eventually(lambda: all(is_gone(process) for process in processes))
    assert len(processes) > len(KILLABLE)
    assert code == 0
    assert all(is_gone(process) for process in later_processes)


def test_a_server_that_does_not_answer_ends_the_start_with_its_own_words(run_dir):
    environment = {**OWN_SERVERS, "DATABASE_URL": f"postgresql:///grid?host={run_dir}"}
    with running.start_platform(run_dir, environment=environment) as platform:
        code = platform.process.wait(timeout=120)

        assert code == 1
        assert "postgres was not ready within 10 s" in platform.last_lines()
        assert "Check DATABASE_URL" in platform.last_lines()


def test_the_launcher_prints_its_commands():
    make = shutil.which("make")
    done = subprocess.run(
        [make, "help"],
        cwd=running.CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )

    for command in ("up", "demo", "test", "fast", "lint"):
        assert f"make {command}" in done.stdout
