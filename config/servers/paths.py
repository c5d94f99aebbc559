"""Where the embedded servers keep their files; nothing here creates anything.

An ordinary user: everything below the run directory. Root: below /var/lib/commongrid/<hash of the
run directory>, because the service user may not be able to enter the checkout (e.g. under /root).
"""

import hashlib
import os
from pathlib import Path

ROOT_STATE = Path("/var/lib/commongrid")
LONGEST_SOCKET_PATH_BYTES = 99
POSTGRES_SOCKET_NAME = ".s.PGSQL.5432"


def run_dir_hash(run_dir: Path) -> str:
    """Return twelve hexadecimal digits that name this run directory on this machine."""
    return hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:12]


def state_dir(run_dir: Path, *, as_root: bool) -> Path:
    """Return the directory of the servers' data, sockets and locks."""
    return ROOT_STATE / run_dir_hash(run_dir) if as_root else run_dir


def socket_dir(run_dir: Path, *, as_root: bool) -> Path:
    """Return the directory of the unix sockets, short enough for the kernel's 107 bytes.

    It does not depend on environment variables such as TMPDIR, so that a second shell or a cron
    job finds the same servers.
    """
    near = state_dir(run_dir, as_root=as_root) / "sock"
    if len(os.fsencode(near / POSTGRES_SOCKET_NAME)) <= LONGEST_SOCKET_PATH_BYTES:
        return near
    return Path("/tmp") / f"commongrid-{os.geteuid()}-{run_dir_hash(run_dir)}"  # noqa: S108
