"""bubblewrap: is it here and usable, and with which arguments a job is started.

Every namespace is asked for by its own strict option: `--unshare-all` would go on silently
without a user namespace. All arguments travel through `--args FD`, because /proc/1/cmdline is
readable inside and would show the host's paths.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gridnode.runtime import INSIDE, Runtime
from gridnode.sandbox import seccomp
from gridnode.sandbox.spec import JobSpec, SandboxUnavailable

OLDEST = (0, 8)
INNER_ID = 65534
SYSCTLS = Path("/proc/sys")
TMP_PART, SHM_PART = 4, 8  # /tmp may hold a quarter of the memory limit, /dev/shm an eighth

_APPARMOR_REMEDY = (
    "Ubuntu restricts user namespaces to programs with an AppArmor profile; create "
    "/etc/apparmor.d/bwrap with\n"
    "  abi <abi/4.0>,\n  include <tunables/global>\n"
    "  profile bwrap /usr/bin/bwrap flags=(unconfined) {\n    userns,\n"
    "    include if exists <local/bwrap>\n  }\n"
    "and run: sudo systemctl reload apparmor"
)


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A bwrap program that is new enough."""

    path: Path
    version: str


def find() -> Bubblewrap:
    """The machine's bwrap, after checking what would make every start fail.

    Raises: SandboxUnavailable with the name of the obstacle and its remedy.
    """
    seccomp.require_supported_architecture()
    if not hasattr(os, "pidfd_open"):
        raise SandboxUnavailable("pidfd_missing", "this Python was built without pidfd_open")
    path = shutil.which("bwrap", path=os.environ.get("PATH", "") + ":/usr/bin:/bin:/usr/local/bin")
    if path is None:
        raise SandboxUnavailable(
            "bwrap_missing",
            "bubblewrap is not installed; install the package `bubblewrap` "
            "(apt-get install bubblewrap, dnf install bubblewrap, pacman -S bubblewrap)",
        )
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=10, env={})
    found = re.search(r"(\d+)\.(\d+)(?:\.\d+)?", answer.stdout)
    if found is None:
        raise SandboxUnavailable("bwrap_broken", f"{path} --version said {answer.stdout!r}")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise SandboxUnavailable(
            "bwrap_too_old",
            f"{path} is version {found[0]}, 0.8.0 or newer is needed (--disable-userns, --size)",
        )
    _require_user_namespaces()
    return Bubblewrap(Path(path), found[0])


def _require_user_namespaces() -> None:
    if _sysctl(SYSCTLS, "user/max_user_namespaces") == 0:
        raise SandboxUnavailable(
            "userns_limit_zero",
            "/proc/sys/user/max_user_namespaces is 0; allow them with: "
            "sysctl -w user.max_user_namespaces=15000 (and a file in /etc/sysctl.d)",
        )
    if _sysctl(SYSCTLS, "kernel/unprivileged_userns_clone") == 0 and os.geteuid() != 0:
        raise SandboxUnavailable(
            "userns_unprivileged_off",
            "kernel.unprivileged_userns_clone is 0; allow them with: sysctl -w kernel.unprivileged_userns_clone=1",
        )


def explain_failure(stderr: str, *, sysctls: Path = SYSCTLS) -> SandboxUnavailable:
    """Why bubblewrap could not set the sandbox up, from what it printed and the machine's state."""
    said = stderr.strip()[-600:]
    blocked = "uid map" in said or "new namespace" in said or "RTM_NEWADDR" in said
    if blocked and _sysctl(sysctls, "kernel/apparmor_restrict_unprivileged_userns") == 1:
        return SandboxUnavailable("userns_apparmor", f"{_APPARMOR_REMEDY}\nbwrap said: {said}")
    if blocked:
        return SandboxUnavailable(
            "userns_blocked",
            "user namespaces are refused (a container's seccomp profile, or the limit "
            f"user.max_user_namespaces is used up); bwrap said: {said}",
        )
    return SandboxUnavailable("bwrap_failed", f"bwrap said: {said or 'nothing'}")


def _sysctl(sysctls: Path, name: str) -> int | None:
    try:
        return int((sysctls / name).read_text())
    except (OSError, ValueError):
        return None


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The file descriptors bwrap inherits: filter, child's pid to the agent, start signal,
    contents of the spec's small files."""

    seccomp: int
    info: int
    block: int
    files: dict[str, int]


def arguments(spec: JobSpec, *, runtime: Runtime, in_dir: Path, out: list[str], fds: Descriptors) -> list[str]:
    """The options for `--args`. `out` are the options that put /out in place.

    /, /dev are remounted read-only last: they are bwrap's own writable tmpfs otherwise.
    """
    loader_folders = dict.fromkeys(["/lib", "/lib64", "/usr/lib", str(Path(runtime.interpreter).parent)])
    options = [
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
        "--unshare-cgroup", "--disable-userns", "--uid", str(INNER_ID), "--gid", str(INNER_ID),
        "--hostname", "job", "--new-session", "--die-with-parent", "--cap-drop", "ALL",
        "--clearenv",
    ]  # fmt: skip
    for name, value in environment(spec).items():
        options += ["--setenv", name, value]
    options += ["--ro-bind", str(runtime.path), INSIDE]
    for folder in loader_folders:
        options += ["--symlink", f"{INSIDE}/libs", folder]
    options += ["--proc", "/proc", "--dev", "/dev"]
    options += ["--size", str(spec.limits.memory_bytes // TMP_PART), "--tmpfs", "/tmp"]  # noqa: S108
    options += ["--size", str(spec.limits.memory_bytes // SHM_PART), "--tmpfs", "/dev/shm"]  # noqa: S108
    options += ["--ro-bind", str(in_dir), "/in", *out]
    for path, fd in fds.files.items():
        options += ["--perms", "0444", "--file", str(fd), path]
    options += ["--chdir", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"]  # noqa: S108
    options += ["--seccomp", str(fds.seccomp), "--info-fd", str(fds.info)]
    return [*options, "--block-fd", str(fds.block)]


def environment(spec: JobSpec) -> dict[str, str]:
    """All variables the job sees: fixed ones that make results repeatable, then the spec's."""
    return {
        "PATH": f"{INSIDE}/bin",
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "LD_LIBRARY_PATH": f"{INSIDE}/libs",
        "PYTHONHOME": INSIDE,
        "PYTHONPATH": f"{INSIDE}/site",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **spec.env,
    }
