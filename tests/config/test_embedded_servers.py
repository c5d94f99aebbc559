"""Real PostgreSQL and Redis as our own children: they start, survive kill -9 and belong to one.

These run as an ordinary user and as root (tests/run does both); as root the servers are demoted.
"""

import asyncio
import contextlib
import io
import os
import pwd
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config import embedded
from config.env import ConfigurationError
from config.servers import binaries, identity, instance, locks, paths
from config.servers.postgres import DURABILITY_SETTINGS
from config.serving import Binding
from config.supervision.component import State
from config.supervision.console import Console
from config.supervision.platform import Platform
from config.supervision.supervisor import Supervisor


def setting(connection: psycopg.Connection, name: str) -> str:
    return connection.execute(f"SHOW {name}").fetchone()[0]


def server_components(run_dir: Path, claimed: instance.Instance):
    """The two embedded servers exactly as `manage.py up` runs them."""
    platform = Platform(
        instance=claimed,
        endpoints=endpoints_of(run_dir),
        binding=Binding("127.0.0.1", 1),
        listener_fd=0,
        stall_seconds=20.0,
        worker_processes=1,
    )
    return [item for item in platform.components() if item.name in ("postgres", "redis")]


def endpoints_of(run_dir: Path) -> embedded.Endpoints:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMMONGRID_RUN_DIR", str(run_dir))
        patch.delenv("DATABASE_URL", raising=False)
        patch.delenv("REDIS_URL", raising=False)
        return embedded.endpoints()


@contextlib.asynccontextmanager
async def running_servers(run_dir: Path):
    claimed = instance.claim(run_dir)
    supervisor = Supervisor(server_components(run_dir, claimed), console=Console(io.StringIO()))
    running = asyncio.create_task(supervisor.main(handle_signals=False))
    try:
        await asyncio.wait_for(supervisor.wait_until_ready(), 60)
        yield supervisor
    finally:
        supervisor.stop("the test is over")
        await asyncio.wait_for(running, 90)
        os.close(claimed.lock)


def test_throw_away_servers_answer_and_leave_nothing():
    servers = embedded.start_for_tests()
    with psycopg.connect(**servers.endpoints.postgres.psycopg()) as connection:
        version = setting(connection, "server_version_num")
        durability = {name: setting(connection, name) for name in DURABILITY_SETTINGS}
    client = redis.Redis.from_url(servers.endpoints.redis_url(1))
    answered = client.ping()
    client.close()
    pids = [process.pid for process in servers.processes]

    servers.stop()

    assert version.startswith("18")
    assert durability == dict.fromkeys(DURABILITY_SETTINGS, "off")
    assert answered
    assert not servers.directory.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize("user_name", ["nobody", None])
def test_the_servers_never_run_as_root_and_nobody_else_enters_their_files(user_name):
    servers = embedded.start_for_tests(user_name=user_name)
    owners = {psutil.Process(process.pid).uids().real for process in servers.processes}
    mode = servers.directory.stat().st_mode & 0o777
    socket_mode = (servers.directory / "sock").stat().st_mode & 0o777
    servers.stop()

    expected = identity.server_identity(user_name)
    assert owners == {expected.uid}
    assert 0 not in owners
    assert (mode, socket_mode) == (0o700, 0o700)
    if os.geteuid() == 0 and user_name:
        assert expected.uid == pwd.getpwnam("nobody").pw_uid


async def test_real_use_is_durable_and_needs_no_port(run_dir):
    async with running_servers(run_dir) as supervisor:
        address = endpoints_of(run_dir).postgres
        with psycopg.connect(**address.psycopg() | {"dbname": "postgres"}) as connection:
            durability = {name: setting(connection, name) for name in DURABILITY_SETTINGS}
            listening = setting(connection, "listen_addresses")
        client = redis.Redis.from_url(endpoints_of(run_dir).redis_url(1))
        redis_settings = {**client.config_get("appendonly"), **client.config_get("port")}
        client.close()
        sockets = [
            connection
            for pid in supervisor.pids().values()
            for connection in psutil.Process(pid).net_connections("inet")
        ]

    assert durability == dict.fromkeys(DURABILITY_SETTINGS, "on")
    assert listening == ""
    assert redis_settings == {"appendonly": "yes", "port": "0"}
    assert sockets == []


@pytest.mark.parametrize("victim", ["postmaster", "one_child", "all"])
async def test_committed_rows_survive_a_kill_of_postgresql(run_dir, victim):
    acknowledged: list[int] = []
    async with running_servers(run_dir) as supervisor:
        arguments = endpoints_of(run_dir).postgres.psycopg() | {"dbname": "postgres"}
        with psycopg.connect(**arguments, autocommit=True) as connection:
            connection.execute("CREATE TABLE written (id bigint PRIMARY KEY)")
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                with (
                    contextlib.suppress(psycopg.Error),
                    psycopg.connect(**arguments, connect_timeout=2, autocommit=True) as connection,
                ):
                    while not stop.is_set():
                        number += 1
                        connection.execute("INSERT INTO written VALUES (%s)", [number])
                        acknowledged.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        async with asyncio.timeout(30):
            while len(acknowledged) < 200:  # noqa: ASYNC110 - the condition of a thread
                await asyncio.sleep(0.01)
        postmaster = psutil.Process(supervisor.pids()["postgres"])
        children = postmaster.children()
        if victim != "one_child":
            postmaster.kill()
        for child in {"postmaster": [], "one_child": children[-1:], "all": children}[victim]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        at_the_kill = len(acknowledged)
        async with asyncio.timeout(60):
            while len(acknowledged) < at_the_kill + 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        stop.set()
        await asyncio.to_thread(writer.join)
        restarts = supervisor.starts("postgres") - 1
        with psycopg.connect(**arguments) as connection:
            found = {row[0] for row in connection.execute("SELECT id FROM written")}

    assert set(acknowledged) <= found
    assert restarts == (0 if victim == "one_child" else 1)


async def test_redis_comes_back_after_a_kill_even_without_its_files(run_dir):
    async with running_servers(run_dir) as supervisor:
        killed = supervisor.pids()["redis"]
        state = paths.state_dir(run_dir, as_root=os.geteuid() == 0)
        for path in sorted((state / "redis").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (state / "redis").rmdir()

        os.kill(killed, signal.SIGKILL)
        async with asyncio.timeout(30):
            while supervisor.starts("redis") < 2 or supervisor.states()["redis"] != State.READY:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        client = redis.Redis.from_url(endpoints_of(run_dir).redis_url(1))
        size = client.dbsize()
        client.close()

    assert size == 0


async def test_redis_starts_empty_when_its_files_cannot_be_read(run_dir):
    async with running_servers(run_dir):
        client = redis.Redis.from_url(endpoints_of(run_dir).redis_url(1))
        client.set("hint", "1")
        client.close()
    state = paths.state_dir(run_dir, as_root=os.geteuid() == 0)
    manifest = next((state / "redis").rglob("*.manifest"))
    manifest.write_text("this is no manifest")

    async with running_servers(run_dir) as supervisor:
        starts = supervisor.starts("redis")

    assert starts == 4
    assert len(list(state.glob("redis.unreadable-*"))) == 1


async def test_data_stay_from_one_start_to_the_next(run_dir):
    arguments = endpoints_of(run_dir).postgres.psycopg() | {"dbname": "postgres"}
    async with running_servers(run_dir):
        with psycopg.connect(**arguments) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")

    async with running_servers(run_dir):
        with psycopg.connect(**arguments) as connection:
            kept = connection.execute("SELECT answer FROM kept").fetchone()

    assert kept == (42,)


def test_a_run_directory_belongs_to_one_supervisor_at_a_time(run_dir):
    first = instance.claim(run_dir)

    with pytest.raises(instance.AlreadyRunningError, match="already runs for"):
        instance.claim(run_dir)
    os.close(first.lock)
    second = instance.claim(run_dir)

    assert second.lock >= 0
    os.close(second.lock)


def test_a_new_run_directory_at_an_old_path_does_not_get_the_old_data(run_dir):
    first = instance.claim(run_dir)
    (first.state / "postgres").mkdir()
    os.close(first.lock)
    for path in run_dir.iterdir():
        path.rmdir() if path.is_dir() else path.unlink()
    run_dir.rmdir()

    second = instance.claim(run_dir)
    os.close(second.lock)

    assert not (second.state / "postgres").exists()
    if os.geteuid() == 0:
        aside = list(second.state.parent.glob(f"{second.state.name}.left-*"))
        assert [(path / "postgres").exists() for path in aside] == [True]
        assert str(aside[0]) in (second.notice or "")


def test_a_lock_is_held_until_the_last_process_that_got_it_is_gone(tmp_path):
    descriptor = locks.try_lock(tmp_path / "lock")
    copy = os.dup(descriptor)

    os.close(descriptor)
    held = locks.try_lock(tmp_path / "lock")
    os.close(copy)
    free = locks.try_lock(tmp_path / "lock")

    assert held is None
    assert free is not None
    os.close(free)


def test_socket_paths_stay_short_however_deep_the_checkout_lies(tmp_path):
    deep = tmp_path.joinpath(*["a_rather_long_directory_name"] * 6)
    for as_root in (False, True):
        place = paths.socket_dir(deep, as_root=as_root) / paths.POSTGRES_SOCKET_NAME
        assert len(os.fsencode(place)) <= paths.LONGEST_SOCKET_PATH_BYTES


def test_a_directory_of_somebody_else_is_refused(tmp_path):
    stranger = identity.Identity(uid=4242, gid=4242, demoted=False)
    if os.geteuid() == 0:
        os.chown(tmp_path, 4343, 4343)
        with pytest.raises(ConfigurationError, match="must be a directory of user 4242; found owner 4343"):
            stranger.private_directory(tmp_path)
    else:
        with pytest.raises(ConfigurationError, match="must be a directory of user"):
            identity.server_identity().private_directory(Path("/usr"))


@pytest.fixture
def open_directory():
    """A directory that every user can enter, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="commongrid-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_programs_that_the_service_user_cannot_reach_are_copied_for_it(open_directory, monkeypatch):
    service = identity.server_identity()
    monkeypatch.setattr(paths, "ROOT_STATE", open_directory / "state")
    hidden = open_directory / "hidden"
    (hidden / "bin").mkdir(parents=True)
    program = hidden / "bin" / "server"
    program.write_text("#!/bin/sh\necho 1.0\n")
    program.chmod(0o755)
    hidden.chmod(0o700)

    found = binaries._reachable(hidden, ("bin",), "bin/server", service)

    assert found == (program if not service.demoted else next((open_directory / "state").rglob("bin/server")))
    assert binaries.can_run(found, service)
    assert binaries.can_run(program, service) is not service.demoted
