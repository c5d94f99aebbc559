"""Seven attacks on the sandbox, run by real jobs, each with a control that shows it would notice.

`gridnode.selftest` runs them and says what their outcomes are worth; `probe_job` is the program inside.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from gridnode.sandbox import watch
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import JobHandle, JobSpec, Limits, Outcome, Reason, SandboxUnavailable

_PROBE = "/drv/probe_job.py"
_SOURCE = resources.files("gridnode").joinpath("probe_job.py").read_bytes()
_SMALL = Limits(wall_seconds=20, cpu_seconds=10, memory_mib=128, pids=16, output_bytes=1 << 20, output_files=8)
_DAEMONS = 4
_UNTIL_ENDED_SECONDS = 10.0
"""How long a job that breaks a limit stays where it can be seen, so that a busy watchdog has its time."""
_KEPT_SECONDS = 0.2
"""And one that keeps to it, or that no watchdog has to see."""


class ControlFailed(Exception):
    """The probe would not have noticed a sandbox that leaks: it says nothing."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """One probe: its letter and name, whether the sandbox held, and what was seen."""

    name: str
    passed: bool
    text: str


class Scene:
    """A folder that anybody may enter and write (only the sandbox keeps jobs out of it)."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.seen: dict[str, bool] = {}
        self._count = 0

    def start(self, request: dict[str, Any], limits: Limits = _SMALL, **files: str) -> JobHandle:
        """Starts the probe job with `files` as its input."""
        self._count += 1
        in_dir = self.folder / f"in{self._count}"
        in_dir.mkdir()
        for name, content in files.items():
            (in_dir / name).write_text(content)
        spec = JobSpec(
            command=("/rt/bin/python3", "-I", "-S", "-B", _PROBE, json.dumps(request)),
            limits=limits,
            files={_PROBE: _SOURCE},
        )
        return self.sandbox.start_probe(spec, in_dir, self.folder / f"out{self._count}")

    def outcome(self, request: dict[str, Any], limits: Limits = _SMALL, **files: str) -> Outcome:
        """How the probe job ended. Raises: SandboxUnavailable if it could not be run."""
        found = self.sandbox.collect(self.start(request, limits, **files))
        if found.reason is Reason.SANDBOX_UNAVAILABLE:
            name, _, text = found.detail.partition(": ")
            raise SandboxUnavailable(name, text)
        return found

    def answer(self, request: dict[str, Any], limits: Limits = _SMALL, **files: str) -> dict[str, Any]:
        """What the probe job printed. Raises: ValueError if it did not end well."""
        return _answer(self.outcome(request, limits, **files))

    def require_working_runtime(self) -> None:
        """Raise SandboxUnavailable unless numpy and ONNX Runtime can be imported inside."""
        in_dir = self.folder / "in0"
        in_dir.mkdir()
        spec = JobSpec(
            command=("/rt/bin/python3", "-P", "-s", "-S", "-B", "-c", "import numpy, onnxruntime"),
            limits=Limits(wall_seconds=60, memory_mib=512, pids=16),
        )
        handle = self.sandbox.start_probe(spec, in_dir, self.folder / "out0")
        found = self.sandbox.collect(handle)
        if found.reason is Reason.SANDBOX_UNAVAILABLE:
            name, _, text = found.detail.partition(": ")
            raise SandboxUnavailable(name, text)
        if found.reason is not Reason.OK:
            said = found.stderr.decode(errors="replace")[-600:]
            raise SandboxUnavailable("runtime_broken", f"{found.reason} {found.detail}: {said}")


@contextlib.contextmanager
def opened(sandbox: Sandbox) -> Iterator[Scene]:
    """A scene below the sandbox's own folder, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="selftest-", dir=sandbox.work_root))
    try:
        os.chmod(folder, 0o777)  # noqa: S103 - so that only the sandbox keeps a job out
        yield Scene(sandbox, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answer(outcome: Outcome) -> dict[str, Any]:
    if outcome.reason is not Reason.OK:
        said = outcome.stderr.decode(errors="replace")[-300:]
        raise ValueError(f"the probe job ended with {outcome.reason} ({outcome.detail}) {said}")
    found = json.loads(outcome.stdout)
    if not isinstance(found, dict):
        raise ValueError("the probe job did not print an object")
    return found


def probe_a_read_secret(scene: Scene) -> ProbeOutcome:
    """Reads a fresh, world-readable file of the host. Controls: the agent reads it, and the same
    job reads a file that it was given."""
    token, given = secrets.token_hex(16), secrets.token_hex(16)
    secret = scene.folder / "secret"
    secret.write_text(token)
    os.chmod(secret, 0o644)
    ways = ["", "/proc/1/root", "/proc/self/root", "/proc/1/cwd", "/oldroot", "/newroot", "/host"]
    paths = [f"{way}{secret}" for way in ways] + ["/etc/passwd", "/etc/shadow", "/proc/kcore"]
    found = scene.answer({"act": "read", "paths": [*paths, "/in/given"]}, given=given)
    read = dict(found["read"])
    if secret.read_text() != token or read.pop("/in/given", "") != given:
        raise ControlFailed("the probe cannot read at all")
    if read:
        return ProbeOutcome("a_read_secret", False, f"files of the host were read: {sorted(read)}")
    return ProbeOutcome("a_read_secret", True, f"only {', '.join(found['listing'])} are visible")


def probe_b_connect(scene: Scene) -> ProbeOutcome:
    """Connects to the agent's loopback and abstract unix listeners. Control: the same code run by
    the agent reaches both, and inside the job's own loopback answers."""
    name = f"gridnode-probe-{secrets.token_hex(8)}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind("\0" + name)
        unix.listen()
        request = {"act": "connect", "tcp_port": tcp.getsockname()[1], "unix_name": name}
        found = scene.answer(request)
        control = _outside(request)
    if control["reached"] != ["tcp", "unix"] or not found["own"]:
        raise ControlFailed(f"the agent reached {control['reached']}, own: {found['own']}")
    if found["reached"]:
        return ProbeOutcome("b_connect", False, f"the job reached the agent: {found['reached']}")
    return ProbeOutcome("b_connect", True, "no listener of the agent could be reached")


def probe_c_write_outside(scene: Scene) -> ProbeOutcome:
    """Creates files everywhere but in its own folders. Controls: /out can be written by the job,
    the host's folder by the agent."""
    open_folder = scene.folder / "open"
    open_folder.mkdir(exist_ok=True)
    os.chmod(open_folder, 0o777)  # noqa: S103 - as above
    (open_folder / "agent").write_text("control")
    outside = [f"{way}{open_folder}/job" for way in ("", "/proc/1/root", "/proc/self/root", "/oldroot")]
    fixed = ["/job", "/in/job", "/rt/job", "/drv/job", _PROBE, "/usr/job", "/dev/job", "/etc/job"]
    kernel = ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"]
    found = scene.answer({"act": "write", "paths": [*outside, *fixed, "/out/job"], "kernel": kernel})
    written = [path for path in found["written"] if path != "/out/job"]
    if "/out/job" not in found["written"] or not (open_folder / "agent").exists():
        raise ControlFailed("nothing could be written")
    if written or os.listdir(open_folder) != ["agent"]:
        return ProbeOutcome("c_write_outside", False, f"written outside: {written}")
    return ProbeOutcome("c_write_outside", True, "only /out, /tmp and /dev/shm can be written")


def probe_d_exceed_memory(scene: Scene) -> ProbeOutcome:
    """A child takes 160 MiB under a limit of 64 while its parent exits with 0. Control: under a
    limit of 320 MiB the same job ends well."""
    request = {"act": "allocate", "mib": 160}
    tight = scene.outcome(request | {"seconds": _UNTIL_ENDED_SECONDS}, _with_memory(64))
    roomy = scene.outcome(request | {"seconds": _KEPT_SECONDS}, _with_memory(320))
    if roomy.reason is not Reason.OK or _answer(roomy)["child"] != 0:
        raise ControlFailed(f"with enough memory it ended with {roomy.reason} {roomy.detail}")
    if tight.reason is not Reason.OOM:
        text = f"160 MiB under a limit of 64 ended with {tight.reason} {tight.detail}"
        return ProbeOutcome("d_exceed_memory", False, text)
    peak = tight.usage.peak_memory_bytes >> 20
    return ProbeOutcome("d_exceed_memory", True, f"ended as oom, highest use {peak} MiB of 64")


def probe_e_exceed_pids(scene: Scene) -> ProbeOutcome:
    """Starts 40 processes under a limit of 16. Control: under a limit of 64 all 40 start."""
    request = {"act": "multiply", "count": 40}
    held = _KEPT_SECONDS if scene.sandbox.config.cgroup else _UNTIL_ENDED_SECONDS  # the kernel refuses at once
    tight = scene.outcome(request | {"seconds": held}, _SMALL)
    roomy = scene.answer(request | {"seconds": _KEPT_SECONDS}, _with_pids(64))
    if roomy["started"] != 40:
        raise ControlFailed(f"only {roomy['started']} of 40 started under a limit of 64")
    if tight.reason is Reason.OK and _answer(tight)["started"] > _SMALL.pids:
        text = f"{_answer(tight)['started']} processes started under a limit of {_SMALL.pids}"
        return ProbeOutcome("e_exceed_pids", False, text)
    ended = f"started {_answer(tight)['started']}" if tight.reason is Reason.OK else tight.detail
    return ProbeOutcome("e_exceed_pids", True, f"limit of {_SMALL.pids}: {ended}")


def probe_f_survive_kill(scene: Scene) -> ProbeOutcome:
    """Daemons that ignore all signals. Control: they are seen running before the kill. Also looks
    at the uid they have outside."""
    handle = scene.start({"act": "survive", "count": _DAEMONS})
    deadline = time.monotonic() + 10
    pids: list[int] = []
    while len(pids) < _DAEMONS + 2 and time.monotonic() < deadline:
        pids = scene.sandbox.processes_of(handle)
        time.sleep(0.01)
    alive = {pid: watch.started_at(pid) for pid in pids}
    uids = {uid for pid in pids if (uid := watch.uid_of(pid)) is not None}
    scene.sandbox.cancel(handle)
    outcome = scene.sandbox.collect(handle)
    left = [pid for pid, started in alive.items() if started and watch.started_at(pid) == started]
    if len(pids) < _DAEMONS + 2:
        raise ControlFailed(f"saw {len(pids)} of {_DAEMONS + 2} processes before the kill")
    scene.seen["uid_separate"] = os.geteuid() not in uids and 0 not in uids
    if left or outcome.reason is not Reason.CANCELLED:
        text = f"{len(left)} processes left after the kill, reason {outcome.reason}"
        return ProbeOutcome("f_survive_kill", False, text)
    if scene.sandbox.config.root and not scene.seen["uid_separate"]:
        return ProbeOutcome("f_survive_kill", False, f"a root agent's job ran as uid {uids}")
    return ProbeOutcome("f_survive_kill", True, f"{len(pids)} processes before, 0 after the kill")


def probe_g_unshare(scene: Scene) -> ProbeOutcome:
    """Makes a user namespace and other refused calls. Control: outside the same code opens a
    netlink socket and may unshare its file table."""
    found, control = scene.answer({"act": "escalate"}), _outside({"act": "escalate"})
    if control["errors"]["netlink"] or control["errors"]["unshare_files"]:
        raise ControlFailed(f"the agent itself was refused: {control['errors']}")
    allowed = [name for name, error in found["errors"].items() if error != errno.EPERM]
    rights = found["rights"]
    wrong = [key for key in ("CapEff", "CapBnd") if int(rights[key] or "1", 16) != 0]
    wrong += [key for key, good in (("Seccomp", "2"), ("NoNewPrivs", "1")) if rights[key] != good]
    scene.seen["userns_disabled"] = found["unshare_user"] in (errno.EPERM, errno.ENOSPC)
    if allowed or wrong or not scene.seen["userns_disabled"]:
        text = f"not refused: {allowed}, rights {rights}, unshare -U: {found['unshare_user']}"
        return ProbeOutcome("g_unshare", False, text)
    return ProbeOutcome("g_unshare", True, "no namespace, no capability, filter active")


PROBES: tuple[Callable[[Scene], ProbeOutcome], ...] = (
    probe_a_read_secret,
    probe_b_connect,
    probe_c_write_outside,
    probe_d_exceed_memory,
    probe_e_exceed_pids,
    probe_f_survive_kill,
    probe_g_unshare,
)


def _outside(request: dict[str, Any]) -> dict[str, Any]:
    """The probe job's code run by the agent itself, without a sandbox (our own code only)."""
    command = [sys.executable, "-I", "-S", "-B", "-c", _SOURCE.decode(), json.dumps(request)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, env={})
    found = json.loads(done.stdout)
    if not isinstance(found, dict):
        raise ValueError("the control did not print an object")
    return found


def _with_memory(mib: int) -> Limits:
    return Limits(**{**asdict(_SMALL), "memory_mib": mib})


def _with_pids(pids: int) -> Limits:
    return Limits(**{**asdict(_SMALL), "pids": pids})
