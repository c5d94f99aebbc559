"""A PostgreSQL and a Redis for one test run: quick, private, gone with the process."""

import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from config.servers.endpoints import Endpoints, embedded_database, embedded_redis
from config.servers.identity import server_identity
from config.servers.postgres import PostgresServer, create_database, wait_until_ready
from config.servers.redis import RedisServer
from config.supervision import spawn

START_SECONDS = 60.0


@dataclass
class ThrowAwayServers:
    """Servers of one test run; they end with this process at the latest."""

    endpoints: Endpoints
    directory: Path
    processes: list[subprocess.Popen[bytes]]

    def stop(self) -> None:
        """Stop both servers at once and delete their files."""
        for process in self.processes:
            process.send_signal(signal.SIGQUIT if process is self.processes[0] else signal.SIGKILL)
        for process in self.processes:
            process.wait(timeout=30)
        shutil.rmtree(self.directory)


def start_for_tests(*, durable: bool = False, user_name: str | None = None) -> ThrowAwayServers:
    """Start a PostgreSQL and a Redis with empty data, by default without any care for durability.

    The files lie in a short path of their own below /tmp, because sockets need short paths and the
    service user of root cannot enter pytest's directories. Raises: TimeoutError,
    ConfigurationError, each with the servers' own words.
    """
    identity = server_identity(user_name)
    directory = Path(tempfile.mkdtemp(prefix="commongrid-test-", dir="/tmp"))
    identity.private_directory(directory)
    sockets = directory / "sock"
    postgres = PostgresServer(directory / "postgres", sockets, identity, durable=durable)
    redis = RedisServer(directory / "redis", sockets, identity, durable=durable)
    address = embedded_database(sockets)
    processes = []
    try:
        for server, death_signal in ((postgres, signal.SIGQUIT), (redis, signal.SIGKILL)):
            server.prepare()
            with (directory / f"{server.data.name}.log").open("wb") as log:
                processes.append(
                    spawn.spawn(
                        server.command(),
                        death_signal=death_signal,
                        identity=identity,
                        output=log,
                    )
                )
        wait_until_ready(address, START_SECONDS)
        create_database(address)
        _wait_for_path(Path(embedded_redis(sockets).path))
    except BaseException:
        for process in processes:
            process.kill()
            process.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)
        raise
    found = Endpoints(address, embedded_redis(sockets), True, True)
    return ThrowAwayServers(found, directory, processes)


def _wait_for_path(path: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} did not appear within {START_SECONDS:g} s.")
        time.sleep(0.02)
