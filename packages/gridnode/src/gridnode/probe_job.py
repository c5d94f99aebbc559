"""Runs inside the sandbox (and, as a control, outside): tries what a hostile job would try.

One argument, a JSON object with `act` and what it needs; prints one JSON object. Stdlib only.
"""
# ruff: noqa: T201 - a program whose output is its interface

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import time
from typing import Any

_UNSHARE, _KEYCTL, _IO_URING_SETUP = 272, 250, 425
_CLONE_FILES, _CLONE_NEWUSER = 0x400, 0x10000000
_AF_NETLINK, _AF_PACKET, _AF_ALG, _AF_VSOCK = 16, 17, 38, 40


def read(paths: list[str]) -> dict[str, Any]:
    """The content of each file that can be read."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            found[path] = file.read(200)
    return {"read": found, "listing": sorted(os.listdir("/"))}


def connect(tcp_port: int, unix_name: str) -> dict[str, Any]:
    """Which listeners of the agent answer, and whether the job's own loopback works."""
    reached = []
    for name, family, address in (
        ("tcp", socket.AF_INET, ("127.0.0.1", tcp_port)),
        ("unix", socket.AF_UNIX, "\0" + unix_name),
    ):
        with contextlib.suppress(OSError), socket.socket(family) as caller:
            caller.settimeout(2)
            caller.connect(address)
            reached.append(name)
    own = False
    with (
        contextlib.suppress(OSError),
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), timeout=2),
    ):
        own = True
    return {"reached": reached, "own": own}


def write(paths: list[str], kernel: list[str]) -> dict[str, Any]:
    """Which of the files could be created or overwritten. Files of the `kernel` are only opened
    for writing, never written: in a sandbox that failed, a byte in one would change the machine."""
    written = []
    for path in kernel:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            written.append(path)
    for path in paths:
        with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
            file.write("probe")
            written.append(path)
    return {"written": written}


def allocate(mib: int, seconds: float) -> dict[str, Any]:
    """A child fills memory and keeps it for `seconds`; the parent goes on whatever becomes of it."""
    child = os.fork()
    if child == 0:
        blocks = [bytearray(b"\1" * (8 << 20)) for _ in range(0, mib, 8)]
        time.sleep(seconds if blocks else 0)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return {"child": os.waitstatus_to_exitcode(status)}


def multiply(count: int, seconds: float) -> dict[str, Any]:
    """How many of `count` children could be started; they live for `seconds`."""
    children = []
    for _ in range(count):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            time.sleep(30)
            os._exit(0)
        children.append(child)
    time.sleep(seconds)
    for child in children:
        os.kill(child, signal.SIGKILL)
    return {"started": len(children)}


def survive(count: int) -> dict[str, Any]:
    """Daemons that left their session and ignore every signal that can be ignored."""
    for _ in range(count):
        if os.fork() == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_IGN)
            time.sleep(300)
            os._exit(0)
        os.wait()
    time.sleep(300)
    return {}


def escalate() -> dict[str, Any]:
    """The error number of each call that a filter must refuse (0 = allowed), and own rights."""
    libc = ctypes.CDLL(None, use_errno=True)

    def error_of(*arguments: int) -> int:
        ctypes.set_errno(0)
        result = libc.syscall(*(ctypes.c_long(argument) for argument in arguments))
        return ctypes.get_errno() if result < 0 else 0

    def family_error(family: int) -> int:
        try:
            socket.socket(family, socket.SOCK_RAW if family == _AF_NETLINK else socket.SOCK_STREAM).close()
        except OSError as error:
            return error.errno or -1
        return 0

    errors = {
        "keyctl": error_of(_KEYCTL, 0, -1, 0),
        "io_uring_setup": error_of(_IO_URING_SETUP, 0, 0),
        "unshare_files": error_of(_UNSHARE, _CLONE_FILES),
        "netlink": family_error(_AF_NETLINK),
        "packet": family_error(_AF_PACKET),
        "alg": family_error(_AF_ALG),
        "vsock": family_error(_AF_VSOCK),
    }
    with open("/proc/self/status", encoding="utf-8") as file:
        pairs = [line.split(":", 1) for line in file if ":" in line]
    status = {key: value.strip() for key, value in pairs}
    return {
        "errors": errors,
        "rights": {key: status.get(key, "") for key in ("Seccomp", "NoNewPrivs", "CapEff", "CapBnd")},
        "unshare_user": error_of(_UNSHARE, _CLONE_NEWUSER),
    }


def main() -> None:
    """Do the one act that argv[1] asks for, and print what was found as JSON."""
    request = json.loads(sys.argv[1])
    acts = {act.__name__: act for act in (read, connect, write, allocate, multiply, survive, escalate)}
    print(json.dumps(acts[request.pop("act")](**request)), flush=True)


if __name__ == "__main__":
    main()
