"""The sandbox's self-test: seven real attacks by real jobs, each with a control that shows it
would notice. No job of anybody else runs before all have passed in this boot, kernel and setup.

Run it at agent start and daily; `is_current` says when the last one no longer counts.
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
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from gridnode.runtime import Runtime
from gridnode.sandbox import watch
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import JobHandle, JobRefused, JobSpec, Limits, Outcome, Reason, SandboxUnavailable

VALID_FOR = timedelta(days=1)
_PROBE = "/drv/probe_job.py"
_SOURCE = resources.files("gridnode").joinpath("probe_job.py").read_bytes()
_SMALL = Limits(wall_seconds=20, cpu_seconds=10, memory_mib=128, pids=16, output_bytes=1 << 20, output_files=8)
_DAEMONS = 4
_TRIES = 3
_UNTIL_ENDED_SECONDS = 10.0
"""How long a job that breaks a limit stays where it can be seen, so that a busy watchdog has its time."""
_KEPT_SECONDS = 0.2
"""And one that keeps to it, or that no watchdog has to see."""


class _ControlFailed(Exception):
    """The probe would not have noticed a sandbox that leaks: it says nothing."""


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """One probe: its letter and name, whether the sandbox held, and what was seen."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class CapabilityRecord:
    """What the sandbox of this node was seen to do; published with the node's signature.

    `mem` is cgroup1, cgroup2 or watchdog; `pids` cgroup or rlimit; `cpu` cfs or none; `disk` hard
    or soft (soft: the number of files is sampled). `key` names the configuration it holds for.
    """

    executor: str
    version: str
    net_isolated: bool
    fs_isolated: bool
    mem: str
    pids: str
    cpu: str
    disk: str
    seccomp: bool
    userns_disabled: bool
    uid_separate: bool
    runtime_digest: str
    kernel: str
    key: str
    tested_at: datetime
    probes: tuple[ProbeOutcome, ...]

    @property
    def passed(self) -> bool:
        return bool(self.probes) and all(probe.passed for probe in self.probes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for canonical JSON; `tested_at` as ISO 8601 in UTC."""
        fields = asdict(self)
        fields["tested_at"] = self.tested_at.astimezone(UTC).isoformat(timespec="seconds")
        fields["passed"] = self.passed
        return fields


def open_sandbox(*, runtime: Runtime, work_root: Path, now: datetime) -> tuple[Sandbox, CapabilityRecord]:
    """A sandbox that has cleaned up after its predecessor and passed the self-test.

    Raises: SandboxUnavailable with the name of what is missing or failed; native jobs must then
    be refused with exactly that reason.
    """
    sandbox = Sandbox(runtime=runtime, work_root=work_root)
    try:
        sandbox.reap_orphans()
        record = run(sandbox, now=now)
        require_passed(record)
    except BaseException:
        sandbox.close()
        raise
    return sandbox, record


def require_passed(record: CapabilityRecord) -> None:
    """Raise SandboxUnavailable naming the failed probes, if any failed."""
    if not record.passed:
        failed = [f"{probe.name}: {probe.text}" for probe in record.probes if not probe.passed]
        raise SandboxUnavailable("self_test_failed", "; ".join(failed))


def is_current(record: CapabilityRecord, sandbox: Sandbox, *, now: datetime) -> bool:
    """Whether the record still counts: passed, same boot, kernel and setup, not a day old."""
    young = timedelta(0) <= now - record.tested_at < VALID_FOR
    return record.passed and young and record.key == sandbox.config.key


def run(sandbox: Sandbox, *, now: datetime) -> CapabilityRecord:
    """Runs all probes (about two seconds) and admits or closes the sandbox accordingly.

    Jobs that are running go on, and an earlier admission holds until the new result is there.
    Raises: SandboxUnavailable if no job can be started at all.
    """
    config = sandbox.config
    try:
        with _scene(sandbox) as scene:
            scene.require_working_runtime()
            outcomes = [_run_probe(probe, scene) for probe in PROBES]
            seen = scene.seen
    except SandboxUnavailable:
        sandbox.admit(None)
        raise
    record = CapabilityRecord(
        executor="bwrap",
        version=config.bwrap_version,
        net_isolated=_passed(outcomes, "b"),
        fs_isolated=_passed(outcomes, "a") and _passed(outcomes, "c"),
        mem=config.cgroup or "watchdog",
        pids="cgroup" if config.cgroup else "rlimit",
        cpu="cfs" if sandbox.has_cpu_share else "none",
        disk="hard" if config.root else "soft",
        seccomp=_passed(outcomes, "g"),
        userns_disabled=bool(seen.get("userns_disabled")),
        uid_separate=bool(seen.get("uid_separate")),
        runtime_digest=config.runtime_digest,
        kernel=config.kernel,
        key=config.key,
        tested_at=now,
        probes=tuple(outcomes),
    )
    sandbox.admit(record.key if record.passed else None)
    return record


def _run_probe(probe: Callable[[_Scene], ProbeOutcome], scene: _Scene) -> ProbeOutcome:
    """What the probe saw. One that could see nothing, on a machine too busy for it say, is tried again;
    one that saw the sandbox leak is not."""
    failures = []
    for _ in range(_TRIES):
        try:
            return probe(scene)
        except _ControlFailed as error:
            failures.append(f"control failed: {error}")
        except (OSError, ValueError, KeyError, JobRefused, subprocess.SubprocessError) as error:
            failures.append(f"the probe itself failed: {type(error).__name__}: {error}")
    return ProbeOutcome(probe.__name__.removeprefix("probe_"), False, failures[-1])


def _passed(outcomes: list[ProbeOutcome], letter: str) -> bool:
    return any(outcome.passed and outcome.name.startswith(f"{letter}_") for outcome in outcomes)


class _Scene:
    """A folder that anybody may enter and write (only the sandbox keeps jobs out of it)."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.seen: dict[str, bool] = {}
        self._count = 0

    def start(self, request: dict[str, Any], limits: Limits = _SMALL, **files: str) -> JobHandle:
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
def _scene(sandbox: Sandbox) -> Iterator[_Scene]:
    folder = Path(tempfile.mkdtemp(prefix="selftest-", dir=sandbox.work_root))
    try:
        os.chmod(folder, 0o777)  # noqa: S103 - so that only the sandbox keeps a job out
        yield _Scene(sandbox, folder)
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


# --- the seven probes --------------------------------------------------------------------------


def probe_a_read_secret(scene: _Scene) -> ProbeOutcome:
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
        raise _ControlFailed("the probe cannot read at all")
    if read:
        return ProbeOutcome("a_read_secret", False, f"files of the host were read: {sorted(read)}")
    return ProbeOutcome("a_read_secret", True, f"only {', '.join(found['listing'])} are visible")


def probe_b_connect(scene: _Scene) -> ProbeOutcome:
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
        raise _ControlFailed(f"the agent reached {control['reached']}, own: {found['own']}")
    if found["reached"]:
        return ProbeOutcome("b_connect", False, f"the job reached the agent: {found['reached']}")
    return ProbeOutcome("b_connect", True, "no listener of the agent could be reached")


def probe_c_write_outside(scene: _Scene) -> ProbeOutcome:
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
        raise _ControlFailed("nothing could be written")
    if written or os.listdir(open_folder) != ["agent"]:
        return ProbeOutcome("c_write_outside", False, f"written outside: {written}")
    return ProbeOutcome("c_write_outside", True, "only /out, /tmp and /dev/shm can be written")


def probe_d_exceed_memory(scene: _Scene) -> ProbeOutcome:
    """A child takes 160 MiB under a limit of 64 while its parent exits with 0. Control: under a
    limit of 320 MiB the same job ends well."""
    request = {"act": "allocate", "mib": 160}
    tight = scene.outcome(request | {"seconds": _UNTIL_ENDED_SECONDS}, _with_memory(64))
    roomy = scene.outcome(request | {"seconds": _KEPT_SECONDS}, _with_memory(320))
    if roomy.reason is not Reason.OK or _answer(roomy)["child"] != 0:
        raise _ControlFailed(f"with enough memory it ended with {roomy.reason} {roomy.detail}")
    if tight.reason is not Reason.OOM:
        text = f"160 MiB under a limit of 64 ended with {tight.reason} {tight.detail}"
        return ProbeOutcome("d_exceed_memory", False, text)
    peak = tight.usage.peak_memory_bytes >> 20
    return ProbeOutcome("d_exceed_memory", True, f"ended as oom, highest use {peak} MiB of 64")


def probe_e_exceed_pids(scene: _Scene) -> ProbeOutcome:
    """Starts 40 processes under a limit of 16. Control: under a limit of 64 all 40 start."""
    request = {"act": "multiply", "count": 40}
    held = _KEPT_SECONDS if scene.sandbox.config.cgroup else _UNTIL_ENDED_SECONDS  # the kernel refuses at once
    tight = scene.outcome(request | {"seconds": held}, _SMALL)
    roomy = scene.answer(request | {"seconds": _KEPT_SECONDS}, _with_pids(64))
    if roomy["started"] != 40:
        raise _ControlFailed(f"only {roomy['started']} of 40 started under a limit of 64")
    if tight.reason is Reason.OK and _answer(tight)["started"] > _SMALL.pids:
        text = f"{_answer(tight)['started']} processes started under a limit of {_SMALL.pids}"
        return ProbeOutcome("e_exceed_pids", False, text)
    ended = f"started {_answer(tight)['started']}" if tight.reason is Reason.OK else tight.detail
    return ProbeOutcome("e_exceed_pids", True, f"limit of {_SMALL.pids}: {ended}")


def probe_f_survive_kill(scene: _Scene) -> ProbeOutcome:
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
        raise _ControlFailed(f"saw {len(pids)} of {_DAEMONS + 2} processes before the kill")
    scene.seen["uid_separate"] = os.geteuid() not in uids and 0 not in uids
    if left or outcome.reason is not Reason.CANCELLED:
        text = f"{len(left)} processes left after the kill, reason {outcome.reason}"
        return ProbeOutcome("f_survive_kill", False, text)
    if scene.sandbox.config.root and not scene.seen["uid_separate"]:
        return ProbeOutcome("f_survive_kill", False, f"a root agent's job ran as uid {uids}")
    return ProbeOutcome("f_survive_kill", True, f"{len(pids)} processes before, 0 after the kill")


def probe_g_unshare(scene: _Scene) -> ProbeOutcome:
    """Makes a user namespace and other refused calls. Control: outside the same code opens a
    netlink socket and may unshare its file table."""
    found, control = scene.answer({"act": "escalate"}), _outside({"act": "escalate"})
    if control["errors"]["netlink"] or control["errors"]["unshare_files"]:
        raise _ControlFailed(f"the agent itself was refused: {control['errors']}")
    allowed = [name for name, error in found["errors"].items() if error != errno.EPERM]
    rights = found["rights"]
    wrong = [key for key in ("CapEff", "CapBnd") if int(rights[key] or "1", 16) != 0]
    wrong += [key for key, good in (("Seccomp", "2"), ("NoNewPrivs", "1")) if rights[key] != good]
    scene.seen["userns_disabled"] = found["unshare_user"] in (errno.EPERM, errno.ENOSPC)
    if allowed or wrong or not scene.seen["userns_disabled"]:
        text = f"not refused: {allowed}, rights {rights}, unshare -U: {found['unshare_user']}"
        return ProbeOutcome("g_unshare", False, text)
    return ProbeOutcome("g_unshare", True, "no namespace, no capability, filter active")


PROBES: tuple[Callable[[_Scene], ProbeOutcome], ...] = (
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
