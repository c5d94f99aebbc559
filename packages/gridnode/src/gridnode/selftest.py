"""The sandbox's self-test: seven real attacks by real jobs, each with a control that shows it
would notice. No job of anybody else runs before all have passed in this boot, kernel and setup.

Run it at agent start and daily; `is_current` says when the last one no longer counts.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gridnode import probes
from gridnode.runtime import Runtime
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import JobRefused, SandboxUnavailable

VALID_FOR = timedelta(days=1)
_TRIES = 3


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
    probes: tuple[probes.ProbeOutcome, ...]

    @property
    def passed(self) -> bool:
        """Whether there were probes and the sandbox held in each."""
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
        with probes.opened(sandbox) as scene:
            scene.require_working_runtime()
            outcomes = [_run_probe(probe, scene) for probe in probes.PROBES]
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


def _run_probe(probe: Callable[[probes.Scene], probes.ProbeOutcome], scene: probes.Scene) -> probes.ProbeOutcome:
    """What the probe saw. One that could see nothing, on a machine too busy for it say, is tried again;
    one that saw the sandbox leak is not."""
    failures = []
    for _ in range(_TRIES):
        try:
            return probe(scene)
        except probes.ControlFailed as error:
            failures.append(f"control failed: {error}")
        except (OSError, ValueError, KeyError, JobRefused, subprocess.SubprocessError) as error:
            failures.append(f"the probe itself failed: {type(error).__name__}: {error}")
    return probes.ProbeOutcome(probe.__name__.removeprefix("probe_"), False, failures[-1])


def _passed(outcomes: list[probes.ProbeOutcome], letter: str) -> bool:
    return any(outcome.passed and outcome.name.startswith(f"{letter}_") for outcome in outcomes)
