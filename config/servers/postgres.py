"""The embedded PostgreSQL: its files, its command line and its database.

Values proved by experiment: local sockets only, trust inside a directory of mode 0700, the C.UTF-8
locale of PostgreSQL itself, and durability switched on by command line, above any other setting.
"""

import os
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from config.env import ConfigurationError
from config.servers import binaries
from config.servers.addresses import DatabaseAddress
from config.servers.identity import Identity

DURABILITY_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
MAX_CONNECTIONS = 120
INITDB_SECONDS = 120


@dataclass(frozen=True)
class PostgresServer:
    """One embedded server: `data` its files, `sockets` the directory of its unix socket."""

    data: Path
    sockets: Path
    identity: Identity
    durable: bool = True

    @property
    def lock(self) -> Path:
        """The file that is locked as long as any process of the server lives."""
        return self.data.with_name(f"{self.data.name}.lock")

    def prepare(self) -> None:
        """Make the directories and, the first time, the database cluster.

        initdb works in a draft directory that is renamed when complete, so that a kill in the
        middle leaves nothing half made. Raises: ConfigurationError with the words of initdb.
        """
        self.identity.private_directory(self.sockets)
        if (self.data / "PG_VERSION").exists():
            return
        self.identity.private_directory(self.data.parent)
        if self.data.exists() and any(self.data.iterdir()):
            raise ConfigurationError(f"{self.data} holds files but no PostgreSQL data; move it.")
        for left_over in self.data.parent.glob(f"{self.data.name}.draft-*"):
            shutil.rmtree(left_over)
        draft = self.data.with_name(f"{self.data.name}.draft-{secrets.token_hex(4)}")
        command = [
            str(binaries.postgres_bin(self.identity) / "initdb"),
            f"--pgdata={draft}",
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if self.durable else ["--no-sync"]),
        ]
        done = subprocess.run(
            command,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
            timeout=INITDB_SECONDS,
            user=self.identity.uid if self.identity.demoted else None,
            group=self.identity.gid if self.identity.demoted else None,
            extra_groups=[] if self.identity.demoted else None,
        )
        if done.returncode != 0:
            raise ConfigurationError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        draft.rename(self.data)

    def command(self) -> list[str]:
        """Return the command line of a server in the foreground."""
        switch = "on" if self.durable else "off"
        settings = dict.fromkeys(DURABILITY_SETTINGS, switch) | {
            "max_connections": str(MAX_CONNECTIONS),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            "log_line_prefix": "",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = str(binaries.postgres_bin(self.identity) / "postgres")
        return [program, "-D", str(self.data), "-k", str(self.sockets), "-h", "", *options]


def create_database(address: DatabaseAddress) -> bool:
    """Create the database when it is missing; say whether it was. Raises: psycopg.Error."""
    arguments = address.psycopg() | {"dbname": "postgres", "connect_timeout": 5}
    with psycopg.connect(**arguments, autocommit=True) as connection:  # type: ignore[arg-type]
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [address.name]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.name)))
    return found is None


def wait_until_ready(address: DatabaseAddress, deadline_seconds: float) -> None:
    """Wait for the first accepted query. Raises: TimeoutError with the last answer."""
    arguments = address.psycopg() | {"dbname": "postgres", "connect_timeout": 2}
    end = time.monotonic() + deadline_seconds
    while True:
        try:
            with psycopg.connect(**arguments) as connection:  # type: ignore[arg-type]
                connection.execute("SELECT 1")
                return
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                raise TimeoutError(f"PostgreSQL did not answer within {deadline_seconds:g} s: {error}") from error
            time.sleep(0.02)
