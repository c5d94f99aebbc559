"""Starts a child that can never outlive its parent and never hears the terminal's Ctrl-C."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from config.servers.identity import Identity

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(death_signal: signal.Signals, parent_pid: int) -> None:
    """Ask the kernel to send this process `death_signal` when its parent ends.

    The request is tied to the parent's spawning *thread*, survives exec and is lost when the user
    changes, hence it comes after that. A parent that is gone already counts as ended.
    """
    if _LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        os._exit(1)


def _before_exec(death_signal: signal.Signals, parent_pid: int) -> Callable[[], None]:
    def run() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        die_with_parent(death_signal, parent_pid)

    return run


def spawn(
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    identity: Identity | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path = Path("/"),
    output: int | IO[Any] = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, output and errors in one pipe.

    Call it from the main thread, which lives as long as the process. Raises: OSError.
    """
    demoted = identity is not None and identity.demoted
    return subprocess.Popen(  # the parent forks from its only thread, so preexec_fn is safe
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env=None if environment is None else dict(environment),
        pass_fds=pass_fds,
        start_new_session=True,
        user=identity.uid if identity and demoted else None,
        group=identity.gid if identity and demoted else None,
        extra_groups=[] if demoted else None,
        umask=0o077 if demoted else -1,
        preexec_fn=_before_exec(death_signal, os.getpid()),
    )


def kill_group(pid: int) -> None:
    """Kill -9 every process that is still in the process group which `pid` leads."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
