"""One supervisor per run directory, and the state that belongs to that very directory."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from config.env import ConfigurationError
from config.servers import locks, paths
from config.servers.identity import Identity, server_identity
from config.servers.postgres import PostgresServer
from config.servers.redis import RedisServer


class AlreadyRunningError(ConfigurationError):
    """Another supervisor holds the run directory."""


@dataclass(frozen=True)
class Instance:
    """A claimed run directory. `notice` tells about state that was moved aside."""

    run_dir: Path
    state: Path
    sockets: Path
    identity: Identity
    lock: int
    notice: str | None

    def postgres(self) -> PostgresServer:
        """Return the embedded PostgreSQL of this instance, always durable."""
        return PostgresServer(self.state / "postgres", self.sockets, self.identity)

    def redis(self) -> RedisServer:
        """Return the embedded Redis of this instance."""
        return RedisServer(self.state / "redis", self.sockets, self.identity)


def claim(run_dir: Path) -> Instance:
    """Take the run directory for this process until it ends.

    Raises: AlreadyRunningError when another living process has it; ConfigurationError when its
    directories cannot be used.
    """
    identity = server_identity()
    as_root = identity.demoted
    state = paths.state_dir(run_dir, as_root=as_root)
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if as_root:
        paths.ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
        paths.ROOT_STATE.chmod(0o755)
    lock = locks.try_lock(state.with_name(f"{state.name}.lock") if as_root else run_dir / "supervisor.lock")
    if lock is None:
        raise AlreadyRunningError(
            f"Commongrid already runs for {run_dir} (see supervisor.json there). "
            "Stop it first, or set COMMONGRID_RUN_DIR to another directory."
        )
    notice = _adopt(run_dir, state) if as_root else None
    identity.private_directory(state)
    sockets = paths.socket_dir(run_dir, as_root=as_root)
    return Instance(run_dir, state, sockets, identity, lock, notice)


def _adopt(run_dir: Path, state: Path) -> str | None:
    """Make sure that root's state belongs to this run directory and not to a deleted one.

    Both hold the same random mark. A fresh checkout in the place of an old one has none: the old
    state is moved aside, never deleted.
    """
    here, there = run_dir / "instance", state / "instance"
    mark = here.read_text(encoding="ascii") if here.exists() else None
    notice = None
    if there.exists() and there.read_text(encoding="ascii") != mark:
        aside = state.with_name(f"{state.name}.left-{time.time_ns()}")
        state.rename(aside)
        notice = f"{run_dir} is new: the state of an earlier one at this path is now {aside}"
    mark = mark or secrets.token_hex(16)
    state.mkdir(mode=0o700, exist_ok=True)
    here.write_text(mark, encoding="ascii")
    there.write_text(mark, encoding="ascii")
    return notice
