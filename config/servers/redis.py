"""The embedded Redis: its files and its command line. It holds hints; losing it loses nothing."""

import time
from dataclasses import dataclass
from pathlib import Path

from config.servers import binaries
from config.servers.identity import Identity

FAILURES_BEFORE_STARTING_EMPTY = 3


@dataclass(frozen=True)
class RedisServer:
    """One embedded server: `data` its append-only files, `sockets` the directory of its socket."""

    data: Path
    sockets: Path
    identity: Identity
    durable: bool = True

    @property
    def lock(self) -> Path:
        """The file that is locked as long as the server lives.

        A server that ends removes the path of its socket, even when a newer one listens there; so
        a new one starts only once the old one is gone.
        """
        return self.data.with_name(f"{self.data.name}.lock")

    def prepare(self, failures_in_a_row: int = 0) -> str | None:
        """Make the directories; return what had to be done, if anything unusual.

        Files that Redis refuses to read three times are moved aside: every message in them can be
        rebuilt from PostgreSQL.
        """
        self.identity.private_directory(self.data.parent)
        self.identity.private_directory(self.sockets)
        moved = None
        if failures_in_a_row >= FAILURES_BEFORE_STARTING_EMPTY and self.data.exists():
            aside = self.data.with_name(f"{self.data.name}.unreadable-{time.time_ns()}")
            self.data.rename(aside)
            moved = f"moved unreadable files to {aside} and started empty"
        self.identity.private_directory(self.data)
        return moved

    def command(self) -> list[str]:
        """Return the command line of a server in the foreground, without TCP port."""
        options = {
            "port": "0",
            "unixsocket": str(self.sockets / "redis.sock"),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(binaries.redis_server(self.identity)), *flags]
