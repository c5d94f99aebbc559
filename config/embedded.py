"""Which PostgreSQL and Redis this installation uses, and how to start throw-away ones for tests.

DATABASE_URL and REDIS_URL name external servers. Without them the supervisor (`manage.py up`) runs
real servers as its own children (config/servers), reached over unix sockets at paths that follow
from the run directory alone, so that every process finds them without being told.
"""

import contextlib
import os
import secrets
from pathlib import Path

from config.env import env_secret, env_str
from config.servers import paths
from config.servers.addresses import DatabaseAddress, RedisAddress
from config.servers.endpoints import Endpoints, embedded_database, embedded_redis
from config.servers.throwaway import ThrowAwayServers, start_for_tests

__all__ = [
    "Endpoints",
    "ThrowAwayServers",
    "endpoints",
    "local_secret_key",
    "run_dir",
    "start_for_tests",
]

CHECKOUT = Path(__file__).resolve().parent.parent


def run_dir() -> Path:
    """Return the directory of all state: COMMONGRID_RUN_DIR, or run/ in the checkout."""
    return Path(env_str("COMMONGRID_RUN_DIR", str(CHECKOUT / "run"))).expanduser().absolute()


def local_secret_key() -> str:
    """Return this installation's own secret key, made on first use in the run directory (0600)."""
    place = run_dir() / "secret-key"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f"secret-key.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48), encoding="ascii")
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, place)
        draft.unlink()
    return place.read_text(encoding="ascii")


def endpoints() -> Endpoints:
    """Return the servers to use; reads the environment, touches no file.

    Raises: ConfigurationError for a URL that cannot be used.
    """
    sockets = paths.socket_dir(run_dir(), as_root=os.geteuid() == 0)
    database_url = env_secret("DATABASE_URL", "")
    redis_url = env_secret("REDIS_URL", "")
    return Endpoints(
        postgres=DatabaseAddress.parse(database_url) if database_url else embedded_database(sockets),
        redis=RedisAddress.parse(redis_url) if redis_url else embedded_redis(sockets),
        embedded_postgres=not database_url,
        embedded_redis=not redis_url,
    )
