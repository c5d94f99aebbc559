"""PostgreSQL and Redis from the distribution's packages, started for one test as anybody's servers would be."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.servers.addresses import DatabaseAddress
from config.servers.postgres import create_database, wait_until_ready
from config.supervision import spawn

START_SECONDS = 60


class NotInstalled(AssertionError):
    """The distribution's package is missing; the message says which."""


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_programs() -> Path:
    """Folder of the newest installed PostgreSQL. Raises: NotInstalled."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        raise NotInstalled("no PostgreSQL server is installed: apt-get install postgresql")
    return found[-1].parent


def redis_program() -> str:
    """The installed Redis. Raises: NotInstalled."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise NotInstalled("no Redis server is installed: apt-get install redis-server")
    return found


@contextmanager
def running() -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of two servers over TCP, empty, durable; stopped and deleted in the end."""
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="commongrid-external-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, user)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        port, redis_port = free_port(), free_port()
        programs = postgres_programs()
        prefix = ["setpriv", f"--reuid={user}", "--clear-groups", "--"] if os.geteuid() == 0 else []
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "grid", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*prefix, *initdb, "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/")
        postgres = [
            str(programs / "postgres"),
            "-D",
            str(folder / "data"),
            "-k",
            "",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        stack.enter_context(_process([*prefix, *postgres], signal.SIGINT))
        redis = [redis_program(), "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        stack.enter_context(_process([*prefix, *redis], signal.SIGTERM))
        url = f"postgres://grid@127.0.0.1:{port}/commongrid"
        address = DatabaseAddress.parse(url)
        wait_until_ready(address, START_SECONDS)
        create_database(address)
        yield {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}"}


@contextmanager
def _process(command: list[str], stop: signal.Signals) -> Iterator[None]:
    process = spawn.spawn(command, death_signal=stop, output=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(stop)
        process.wait(START_SECONDS)
