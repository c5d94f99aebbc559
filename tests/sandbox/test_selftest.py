"""The self-test passes on the real sandbox and fails on each deliberately weakened one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gridnode import probes, runtime, selftest
from gridnode.sandbox import bwrap, cgroups, slots, watch
from gridnode.sandbox.executor import Sandbox
from gridnode.sandbox.spec import SandboxUnavailable
from tests.sandbox.arena import TESTED_AT, Arena

Change = Callable[[list[str]], list[str]]
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def fresh(ground: Path, job_runtime: runtime.Runtime, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    sandbox = Sandbox(runtime=job_runtime, work_root=ground / f"selftest-{request.node.name[:60]}")
    yield sandbox
    sandbox.close()


@pytest.fixture
def weaken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Changes the options every job of this test is started with."""
    honest = bwrap.arguments

    def apply(change: Change) -> None:
        monkeypatch.setattr(bwrap, "arguments", lambda *values, **named: change(honest(*values, **named)))

    return apply


def _failed(record: selftest.CapabilityRecord) -> set[str]:
    return {probe.name for probe in record.probes if not probe.passed}


def _without(options: list[str], name: str, values: int) -> list[str]:
    at = options.index(name)
    return options[:at] + options[at + 1 + values :]


def _before(options: list[str], name: str, more: list[str]) -> list[str]:
    at = options.index(name)
    return [*options[:at], *more, *options[at:]]


def test_the_real_sandbox_passes_and_its_record_says_what_it_is(arena: Arena) -> None:
    record = arena.record

    assert record.passed
    assert [probe.name[0] for probe in record.probes] == list("abcdefg")
    assert record.net_isolated
    assert record.fs_isolated
    assert record.seccomp
    assert record.userns_disabled
    assert record.uid_separate is arena.root
    assert record.disk == ("hard" if arena.root else "soft")
    assert record.pids == ("rlimit" if record.mem == "watchdog" else "cgroup")
    assert record.to_dict()["tested_at"] == "2026-11-21T12:00:00+00:00"


def test_a_record_counts_for_a_day_and_for_this_configuration_only(arena: Arena, fresh: Sandbox) -> None:
    record = arena.record

    assert selftest.is_current(record, arena.sandbox, now=TESTED_AT + timedelta(hours=23))
    assert not selftest.is_current(record, arena.sandbox, now=TESTED_AT + timedelta(hours=24))
    assert not selftest.is_current(record, arena.sandbox, now=TESTED_AT - timedelta(seconds=1))
    assert record.key == fresh.config.key  # the same boot, kernel, runtime and filter


def test_a_probe_whose_control_failed_is_tried_again_but_not_one_that_saw_a_leak(
    fresh: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def probe_a_starved(_scene: object) -> probes.ProbeOutcome:
        tries.append("starved")
        if tries.count("starved") < 3:
            raise TimeoutError("no answer on a busy machine")
        return probes.ProbeOutcome("a_starved", True, "held")

    def probe_b_hopeless(_scene: object) -> probes.ProbeOutcome:
        tries.append("hopeless")
        raise probes.ControlFailed("it could see nothing")

    def probe_c_leaks(_scene: object) -> probes.ProbeOutcome:
        tries.append("leaks")
        return probes.ProbeOutcome("c_leaks", False, "a file of the host was read")

    monkeypatch.setattr(probes, "PROBES", (probe_a_starved, probe_b_hopeless, probe_c_leaks))

    record = selftest.run(fresh, now=TESTED_AT)

    assert tries == ["starved"] * 3 + ["hopeless"] * 3 + ["leaks"]
    assert _failed(record) == {"b_hopeless", "c_leaks"}
    assert record.probes[1].text == "control failed: it could see nothing"


def test_without_the_filter_the_self_test_fails(fresh: Sandbox, weaken: Callable[[Change], None]) -> None:
    weaken(lambda options: _without(options, "--seccomp", 1))

    record = selftest.run(fresh, now=TESTED_AT)

    assert _failed(record) == {"g_unshare"}
    assert not record.seccomp
    with pytest.raises(SandboxUnavailable, match="sandbox_unavailable: self_test_failed: g_unshare"):
        selftest.require_passed(record)


def test_without_its_own_network_the_self_test_fails(fresh: Sandbox, weaken: Callable[[Change], None]) -> None:
    weaken(lambda options: _without(options, "--unshare-net", 0))

    record = selftest.run(fresh, now=TESTED_AT)

    assert _failed(record) == {"b_connect"}
    assert not record.net_isolated


def test_with_a_folder_of_the_host_inside_the_self_test_fails(fresh: Sandbox, weaken: Callable[[Change], None]) -> None:
    place = str(fresh.work_root)
    weaken(lambda options: _before(options, "--remount-ro", ["--bind", place, place]))

    record = selftest.run(fresh, now=TESTED_AT)

    assert _failed(record) == {"a_read_secret", "c_write_outside"}
    assert not record.fs_isolated


def test_with_a_writable_root_the_self_test_fails(fresh: Sandbox, weaken: Callable[[Change], None]) -> None:
    weaken(lambda options: _without(_without(options, "--remount-ro", 1), "--remount-ro", 1))

    record = selftest.run(fresh, now=TESTED_AT)

    assert _failed(record) == {"c_write_outside"}


def test_without_anything_that_limits_the_self_test_fails(
    ground: Path, job_runtime: runtime.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "detect", lambda: None)
    monkeypatch.setattr(watch, "sample", lambda *_, **__: watch.Sample(0, 0, 0))
    monkeypatch.setattr("gridnode.sandbox.supervise._NPROC_SPARE", 5_000)
    sandbox = Sandbox(runtime=job_runtime, work_root=ground / "unlimited")

    record = selftest.run(sandbox, now=TESTED_AT)
    sandbox.close()

    assert _failed(record) == {"d_exceed_memory", "e_exceed_pids"}


def test_without_dropping_the_uid_a_root_agents_self_test_fails(
    arena: Arena, fresh: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "take_slot", lambda *, root: slots.Slot(uid=None))

    record = selftest.run(fresh, now=TESTED_AT)

    assert not record.uid_separate
    assert ("f_survive_kill" in _failed(record)) is arena.root
    assert record.passed is not arena.root


def test_without_a_writable_cgroup_the_watchdog_passes_too(
    ground: Path, job_runtime: runtime.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "detect", lambda: None)
    sandbox = Sandbox(runtime=job_runtime, work_root=ground / "watchdog")

    record = selftest.run(sandbox, now=TESTED_AT)
    sandbox.close()

    assert _failed(record) == set()
    assert (record.mem, record.pids, record.cpu) == ("watchdog", "rlimit", "none")


def test_a_sandbox_whose_setup_fails_half_way_is_refused_with_bubblewraps_words(
    ground: Path, job_runtime: runtime.Runtime, weaken: Callable[[Change], None]
) -> None:
    weaken(lambda options: [*options, "--ro-bind", "/no/such/folder", "/x"])

    with pytest.raises(SandboxUnavailable, match=r"bwrap_failed: .*/no/such/folder"):
        selftest.open_sandbox(runtime=job_runtime, work_root=ground / "half-way", now=TESTED_AT)

    assert list((ground / "half-way" / "jobs").iterdir()) == []


def test_a_runtime_that_cannot_import_is_refused_by_name(
    ground: Path, job_runtime: runtime.Runtime, weaken: Callable[[Change], None]
) -> None:
    weaken(lambda options: ["--setenv", "X", "1", *options, "--setenv", "PYTHONPATH", "/nowhere"])

    with pytest.raises(SandboxUnavailable, match="runtime_broken"):
        selftest.open_sandbox(runtime=job_runtime, work_root=ground / "broken", now=TESTED_AT)


OPEN = """
    import sys
    from datetime import UTC, datetime
    from pathlib import Path
    from gridnode import runtime, selftest
    from gridnode.sandbox.spec import SandboxUnavailable
    base = Path(sys.argv[1])
    try:
        selftest.open_sandbox(runtime=runtime.ensure_runtime(base / "runtime"), work_root=base / sys.argv[2],
                              now=datetime(2026, 11, 21, tzinfo=UTC))
    except SandboxUnavailable as error:
        print(error)
        raise SystemExit(42)
"""


def _open_elsewhere(ground: Path, wrapper: list[str], name: str, **environment: str) -> Done:
    """Opens a sandbox in a process of its own, below `wrapper`; 42 = refused by name."""
    work = ground / name
    work.mkdir(mode=0o755)
    os.chmod(work, 0o777)
    command = [*wrapper, sys.executable, "-c", textwrap.dedent(OPEN), str(ground), name]
    found = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=found)


def test_without_user_namespaces_jobs_are_refused_by_name(ground: Path, job_runtime: runtime.Runtime) -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'

    done = _open_elsewhere(ground, ["unshare", "-U", "-r", "sh", "-c", script, "sh"], "no-userns")

    assert done.returncode == 42, done.stderr
    assert done.stdout.startswith("sandbox_unavailable: userns_limit_zero: ")
    assert "sysctl -w user.max_user_namespaces=" in done.stdout


def test_root_of_a_user_namespace_without_the_uids_is_refused_by_name(
    ground: Path, job_runtime: runtime.Runtime
) -> None:
    done = _open_elsewhere(ground, ["unshare", "-U", "-r"], "unmapped")

    assert done.returncode == 42, done.stderr
    assert done.stdout.startswith("sandbox_unavailable: uid_range_unmapped: ")


def test_without_bubblewrap_the_package_is_named(ground: Path, job_runtime: runtime.Runtime) -> None:
    program = bwrap.find().path
    script = f'mount --bind /dev/null {program} && exec "$@"'

    done = _open_elsewhere(ground, ["unshare", "-U", "-r", "-m", "sh", "-c", script, "sh"], "no-bwrap")

    assert done.returncode == 42, done.stderr
    assert done.stdout.startswith("sandbox_unavailable: bwrap_missing: ")
    assert "apt-get install bubblewrap" in done.stdout


def test_an_old_bubblewrap_is_refused_by_name(ground: Path, job_runtime: runtime.Runtime) -> None:
    folder = ground / "old"
    folder.mkdir()
    (folder / "bwrap").write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    os.chmod(folder / "bwrap", 0o755)

    done = _open_elsewhere(ground, ["env"], "old-bwrap", PATH=f"{folder}:{os.environ['PATH']}")

    assert done.returncode == 42, done.stderr
    assert done.stdout.startswith("sandbox_unavailable: bwrap_too_old: ")


def test_a_bubblewrap_that_cannot_make_namespaces_is_refused_with_its_words(
    ground: Path, job_runtime: runtime.Runtime
) -> None:
    folder = ground / "blocked"
    folder.mkdir()
    words = "bwrap: Creating new namespace failed: Operation not permitted"
    (folder / "bwrap").write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit\necho "{words}" >&2\nexit 1\n'
    )
    os.chmod(folder / "bwrap", 0o755)

    done = _open_elsewhere(ground, ["env"], "blocked-bwrap", PATH=f"{folder}:{os.environ['PATH']}")

    assert done.returncode == 42, done.stderr
    assert done.stdout.startswith("sandbox_unavailable: userns_")
    assert words in done.stdout


def test_an_apparmor_restriction_is_explained_with_the_profile(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")

    refusal = bwrap.explain_failure("bwrap: setting up uid map: Permission denied\n", sysctls=tmp_path)

    assert refusal.name == "userns_apparmor"
    assert "profile bwrap /usr/bin/bwrap flags=(unconfined)" in refusal.text
