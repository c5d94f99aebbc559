"""Jobs that try to use more than they were sold: processes, memory, disk, output, time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gridnode.sandbox.spec import JobRefused, Outcome, Reason
from tests.sandbox.arena import Arena

Attack = Callable[..., Outcome]


def test_a_fork_bomb_stops_at_the_limit_of_processes(attack: Attack, arena: Arena) -> None:
    outcome = attack(
        """
import os, time
started = 0
try:
    while started < 400:
        if os.fork() == 0:
            time.sleep(20); os._exit(0)
        started += 1
except OSError as error:
    print(started, error.errno)
time.sleep(0.3)
""",
        pids=48,
    )

    if arena.record.pids == "cgroup":
        assert outcome.reason is Reason.OK
        assert outcome.stdout == b"47 11\n"
    else:
        assert outcome.reason is Reason.NONZERO_EXIT
        assert outcome.detail == "more than 48 processes"


def test_a_recursive_fork_bomb_ends_with_nothing_left(attack: Attack) -> None:
    started_at = time.monotonic()

    outcome = attack(
        """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        wall_seconds=1,
        pids=24,
    )

    assert outcome.reason in (Reason.WALL, Reason.NONZERO_EXIT)
    assert time.monotonic() - started_at < 60  # it did not take the machine with it


def test_threads_count_as_processes(attack: Attack) -> None:
    outcome = attack(
        """
import threading, time
try:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()
except RuntimeError:
    print(threading.active_count()); raise SystemExit(9)
time.sleep(20)
""",
        pids=24,
    )

    assert outcome.reason is Reason.NONZERO_EXIT
    assert outcome.exit_code == 9 or outcome.detail == "more than 24 processes"


def test_a_memory_bomb_is_reported_as_oom(attack: Attack) -> None:
    outcome = attack("blocks = []\nwhile True: blocks.append(bytearray(b'x' * (1 << 22)))", memory_mib=128)

    assert outcome.reason is Reason.OOM
    assert outcome.usage.peak_memory_bytes <= 256 << 20


def test_a_memory_bomb_spread_over_children_is_oom_even_if_the_parent_exits_well(attack: Attack) -> None:
    outcome = attack(
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        block = bytearray(b"x" * (40 << 20)); time.sleep(0.5); os._exit(0)
while True:
    try: os.wait()
    except ChildProcessError: break
print("survived")
""",
        memory_mib=128,
    )

    assert outcome.reason is Reason.OOM
    assert outcome.files == ()


def test_memory_shared_after_a_fork_counts_once(attack: Attack) -> None:
    outcome = attack(
        """
import os, time
block = bytearray(b"x" * (60 << 20))
for _ in range(6):
    if os.fork() == 0:
        time.sleep(0.4); os._exit(0)
for _ in range(6): os.wait()
""",
        memory_mib=160,
    )

    assert outcome.reason is Reason.OK


def test_files_in_tmp_and_shm_count_as_memory_and_are_bounded(attack: Attack) -> None:
    outcome = attack(
        """
import errno
full = []
for place in ("/tmp", "/dev/shm"):
    try:
        for number in range(1000):
            with open(f"{place}/{number}", "wb") as file: file.write(b"x" * (1 << 20))
    except OSError as error:
        full.append(errno.errorcode[error.errno])
print(full)
""",
        memory_mib=256,
    )

    assert outcome.reason is Reason.OK
    assert outcome.stdout == b"['ENOSPC', 'ENOSPC']\n"


def test_empty_files_without_end_in_tmp_are_stopped(attack: Attack) -> None:
    outcome = attack(
        """
import os
number = 0
while True:
    os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY)); number += 1
""",
        memory_mib=48,
        wall_seconds=15,
    )

    assert outcome.reason is Reason.OOM


def test_memory_that_no_process_holds_cannot_be_had(attack: Attack) -> None:
    outcome = attack(
        """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
try: os.memfd_create("x"); print("memfd")
except OSError as error: print(errno.errorcode[error.errno])
print(libc.shmget(0, 1 << 20, 0o1600), errno.errorcode[ctypes.get_errno()])
"""
    )

    assert outcome.stdout == b"EPERM\n-1 EPERM\n"


def test_one_huge_file_stops_at_the_file_limit(attack: Attack) -> None:
    outcome = attack(
        """
import errno, os
for step in ("write", "sparse"):
    try:
        with open("/out/big", "wb") as file:
            if step == "sparse": os.truncate(file.fileno(), 10 << 30)
            while True: file.write(b"x" * (1 << 20))
    except OSError as error:
        print(errno.errorcode[error.errno], os.path.getsize("/out/big") >> 20)
os.unlink("/out/big")
""",
        file_bytes=4 << 20,
        output_bytes=16 << 20,
    )

    assert outcome.stdout == b"EFBIG 4\nEFBIG 0\n"
    assert outcome.reason is Reason.OK


def test_many_files_stop_at_the_disk_quota(attack: Attack) -> None:
    outcome = attack("for n in range(100):\n    open(f'/out/{n}', 'wb').write(b'x' * (1 << 20))", output_bytes=8 << 20)

    assert outcome.reason is Reason.DISK_QUOTA
    assert outcome.usage.output_bytes <= 9 << 20


def test_unlinked_files_that_stay_open_count_against_the_disk_quota(attack: Attack) -> None:
    outcome = attack(
        """
import os, time
kept = []
try:
    for n in range(100):
        file = os.open(f"/out/{n}", os.O_CREAT | os.O_WRONLY); kept.append(file); os.unlink(f"/out/{n}")
        os.write(file, b"x" * (1 << 20))
        os.fsync(file)
finally: time.sleep(0.3)
""",
        output_bytes=8 << 20,
    )

    assert outcome.reason is Reason.DISK_QUOTA


def test_outputs_within_the_file_system_but_over_the_exact_quota_are_refused(attack: Attack) -> None:
    outcome = attack("open('/out/a', 'wb').write(b'x' * 5000)", output_bytes=4999)

    assert outcome.reason is Reason.DISK_QUOTA
    assert outcome.files == ()


def test_an_inode_bomb_stops_at_the_file_count(attack: Attack) -> None:
    outcome = attack(
        """
import os, time
n = 0
try:
    while True:
        os.close(os.open(f"/out/{n}", os.O_CREAT | os.O_WRONLY)); n += 1
except OSError:
    time.sleep(0.2); raise
""",
        output_files=64,
    )

    assert outcome.reason is Reason.FILE_COUNT


def test_a_tree_of_folders_counts_as_files_and_disappears(attack: Attack) -> None:
    outcome = attack(
        """
import os
os.chdir("/out")
while True:
    os.mkdir("d"); os.chdir("d")
""",
        output_files=64,
    )

    assert outcome.reason is Reason.FILE_COUNT


def test_a_flood_on_stdout_is_cut_and_ends_the_job(attack: Attack) -> None:
    outcome = attack("import sys\nwhile True: sys.stdout.write('x' * 65536)", stdout_bytes=1 << 16)

    assert outcome.reason is Reason.STDOUT_LIMIT
    assert len(outcome.stdout) + len(outcome.stderr) == 1 << 16


def test_a_flood_divided_between_stdout_and_stderr_is_cut_as_one(attack: Attack) -> None:
    outcome = attack(
        "import os\nfor _ in range(40): os.write(1, b'o' * 1000); os.write(2, b'e' * 1000)", stdout_bytes=50_000
    )

    assert outcome.reason is Reason.STDOUT_LIMIT
    assert len(outcome.stdout) + len(outcome.stderr) == 50_000


def test_cpu_time_of_one_process_is_limited(attack: Attack) -> None:
    outcome = attack("while True: pass", cpu_seconds=1, wall_seconds=15)

    assert outcome.reason is Reason.CPU
    assert 0 < outcome.usage.cpu_ms <= 5000


def test_cpu_time_is_limited_over_all_processes_together(attack: Attack) -> None:
    outcome = attack(
        """
import os
for _ in range(3): os.fork()
while True: pass
""",
        cpu_seconds=1,
        wall_seconds=15,
        cpu_share_milli=2000,
    )

    assert outcome.reason is Reason.CPU
    assert outcome.usage.cpu_ms <= 6000


def test_cpu_share_is_kept_where_the_record_says_so(attack: Attack, arena: Arena) -> None:
    outcome = attack(
        """
import os
for _ in range(2): os.fork()
while True: pass
""",
        wall_seconds=1,
        cpu_share_milli=300,
    )

    assert outcome.reason is Reason.WALL
    if arena.record.cpu == "cfs":
        assert outcome.usage.cpu_ms * 1000 // outcome.usage.wall_ms <= 450


def test_a_sleeper_ends_at_the_wall_limit(attack: Attack) -> None:
    outcome = attack("import time; time.sleep(60)", wall_seconds=1)

    assert outcome.reason is Reason.WALL
    assert 1000 <= outcome.usage.wall_ms < 30_000


def test_large_outputs_get_a_disk_of_their_own_or_a_named_refusal(attack: Attack, arena: Arena) -> None:
    code = "for n in range(3): open(f'/out/{n}', 'wb').write(b'x' * (30 << 20))"

    if not arena.root:
        with pytest.raises(JobRefused, match="output_too_large"):
            attack(code, memory_mib=64, output_bytes=300 << 20)
        return
    outcome = attack(code, memory_mib=64, output_bytes=300 << 20)

    assert outcome.reason is Reason.OK, outcome
    assert [file.size_bytes for file in outcome.files] == [30 << 20] * 3
