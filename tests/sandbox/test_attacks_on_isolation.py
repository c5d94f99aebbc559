"""Jobs that try to see, reach or become something outside their sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from gridnode.sandbox import watch
from gridnode.sandbox.spec import Outcome, Reason
from tests.sandbox.arena import Arena, wait_until

Attack = Callable[..., Outcome]


def test_nothing_of_the_host_can_be_read(attack: Attack, ground: Path) -> None:
    key = ground / "agent-key"
    key.write_text("secret of the agent")
    os.chmod(key, 0o644)
    targets = [
        "/etc/passwd", "/etc/shadow", "/root", "/home", "/sys", "/run", "/var", "/boot", "/opt", "/usr/bin",
        "/dev/vda", "/dev/sda", "/dev/kvm", "/dev/mem", "/dev/fuse", "/proc/1/root/etc", "/proc/kcore",
        "/proc/1/environ", "/oldroot", "/newroot", str(key), f"/proc/1/root{key}", f"/proc/self/root{key}",
    ]  # fmt: skip

    outcome = attack(
        f"""
import os
for path in {targets!r}:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        if open(path, "rb").read(1): print("READ", path)
    except IsADirectoryError: print("LISTED", path)
    except OSError: pass
print(sorted(os.listdir("/")), sorted(os.listdir("/dev")))
"""
    )

    lines = outcome.stdout.decode().splitlines()
    assert outcome.reason is Reason.OK
    assert len(lines) == 1, lines
    assert "'dev', 'drv', 'in', 'lib', 'lib64', 'out', 'proc', 'rt', 'tmp', 'usr'" in lines[0]
    assert "'kvm'" not in lines[0]


def test_paths_and_environment_of_the_agent_do_not_leak(attack: Attack) -> None:
    os.environ["GRIDNODE_TEST_SECRET"] = "do not tell"

    outcome = attack(
        """
import os
print(open("/proc/1/cmdline").read().replace("\\0", " "))
print(sorted(os.environ))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1])
print(os.getuid(), os.getgid(), os.uname().nodename)
for pid in os.listdir("/proc"):
    if pid.isdigit(): print("PID", pid)
"""
    )
    os.environ.pop("GRIDNODE_TEST_SECRET")

    lines = outcome.stdout.decode().splitlines()
    assert lines[0].startswith("bwrap --args ")
    assert lines[0].strip().endswith("-- /rt/bin/python3 -P -s -S -B /drv/attack.py")
    assert "GRIDNODE" not in lines[1]
    assert lines[2] == "[0, 1, 2]"
    assert lines[3] == "65534 65534 job"
    assert lines[4:] == ["PID 1", "PID 2"]


def test_no_network_of_the_host_can_be_reached(attack: Attack) -> None:
    name = f"gridnode-attack-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        port = tcp.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=2):  # control: it can be reached
            pass

        outcome = attack(
            f"""
import errno, os, socket
for family, address in ((2, ("127.0.0.1", {port})), (2, ("8.8.8.8", 53)), (2, ("169.254.169.254", 80)),
                        (10, ("::1", {port})), (1, "\\0{name}")):
    with socket.socket(family) as caller:
        caller.settimeout(2)
        print(errno.errorcode.get(caller.connect_ex(address)))
with socket.socket(2, socket.SOCK_DGRAM) as udp:
    try: udp.sendto(b"x", ("8.8.8.8", 53)); print("SENT")
    except OSError as error: print(errno.errorcode[error.errno])
print([name for _, name in socket.if_nameindex()] if hasattr(socket, "if_nameindex") else "")
"""
        )

    lines = outcome.stdout.decode().splitlines()
    assert lines[:6] == ["ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "ECONNREFUSED", "ECONNREFUSED", "ENETUNREACH"]


def test_the_job_sees_only_its_own_loopback(attack: Attack) -> None:
    outcome = attack("print(open('/proc/net/dev').read())")

    interfaces = [line.split(":")[0].strip() for line in outcome.stdout.decode().splitlines() if ":" in line]
    assert interfaces == ["lo"]


def test_socket_families_beside_unix_and_ip_are_refused(attack: Attack) -> None:
    outcome = attack(
        """
import socket
allowed = []
for family in range(0, 50):
    for kind in (1, 2, 3):
        try: socket.socket(family, kind).close(); allowed.append(family)
        except OSError as error:
            if error.errno != 1 and family not in (1, 2, 10): print(family, kind, error)
print(sorted(set(allowed)))
"""
    )

    assert outcome.stdout == b"[1, 2, 10]\n"


def test_nothing_outside_its_own_folders_can_be_written(attack: Attack) -> None:
    outcome = attack(
        """
import os
def can_write(folder):
    try:
        with open(f"{folder}/probe", "w") as file: file.write("x")
        os.unlink(f"{folder}/probe"); return True
    except OSError: return False
folders = {"/"}
for root in ("/dev", "/drv", "/in", "/lib", "/out", "/proc", "/rt", "/tmp", "/usr"):
    folders.add(root)
    for current, names, _ in os.walk(root):
        if current.startswith("/proc/") and current.count("/") > 3: names[:] = []
        folders.add(current)
print(sorted(folder for folder in folders if can_write(folder)))
for path in ("/drv/attack.py", "/rt/bin/python3"):
    try: open(path, "ab"); print("OPENED", path)
    except OSError: pass
    try: os.chmod(path, 0o777); print("CHANGED", path)
    except OSError: pass
"""
    )

    assert outcome.reason is Reason.OK, outcome.stderr
    assert outcome.stdout == b"['/dev/shm', '/out', '/tmp']\n"


def test_devices_cannot_be_made_and_host_files_not_linked(attack: Attack) -> None:
    outcome = attack(
        """
import errno, os, stat
def error_of(call, *arguments):
    try: call(*arguments); return "DONE"
    except OSError as error: return errno.errorcode[error.errno]
print(error_of(os.mknod, "/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)))
print(error_of(os.link, "/rt/bin/python3", "/out/python"))
print(error_of(os.chroot, "/tmp"))
print(error_of(os.setuid, 0), error_of(os.setgroups, [0]))
"""
    )

    assert outcome.stdout.split() == [b"EPERM", b"EXDEV", b"EPERM", b"EINVAL", b"EPERM"]


def test_dangerous_system_calls_are_refused(attack: Attack) -> None:
    numbers = {
        "unshare": (272, 0x10000000), "setns": (308, 0, 0), "mount": (165, 0, 0, 0, 0, 0), "umount2": (166, 0, 0),
        "ptrace": (101, 0, 0, 0, 0), "keyctl": (250, 0, 0, 0), "add_key": (248, 0, 0, 0, 0, 0),
        "bpf": (321, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0), "io_uring_setup": (425, 1, 0),
        "userfaultfd": (323, 0), "open_by_handle_at": (304, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
        "pidfd_getfd": (438, 0, 0, 0), "clone_newuser": (56, 0x10000000 | 17, 0, 0, 0, 0),
        "clone_newnet": (56, 0x40000000 | 17, 0, 0, 0, 0), "fsopen": (430, 0, 0), "init_module": (175, 0, 0, 0),
        "memfd_secret": (447, 0), "fanotify_init": (300, 0, 0), "quotactl": (179, 0, 0, 0, 0),
    }  # fmt: skip

    outcome = attack(
        f"""
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
answers = {{}}
for name, numbers in {numbers!r}.items():
    ctypes.set_errno(0)
    result = libc.syscall(*(ctypes.c_long(number) for number in numbers))
    answers[name] = errno.errorcode.get(ctypes.get_errno(), "ALLOWED") if result < 0 else "ALLOWED"
ctypes.set_errno(0); libc.syscall(435, 0, 0); answers["clone3"] = errno.errorcode[ctypes.get_errno()]
for request in (0x5412, 0x541C):
    ctypes.set_errno(0); libc.ioctl(0, ctypes.c_ulong(request), b"x")
    answers[hex(request)] = errno.errorcode[ctypes.get_errno()]
print(json.dumps(answers))
"""
    )

    answers = json.loads(outcome.stdout)
    assert answers.pop("clone3") == "ENOSYS"
    assert set(answers.values()) == {"EPERM"}, answers


def test_x32_system_calls_kill_the_process(attack: Attack) -> None:
    outcome = attack("import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39))")

    assert outcome.reason is Reason.NONZERO_EXIT
    assert outcome.exit_code == 128 + 31  # SIGSYS


def test_the_job_has_no_rights_and_cannot_gain_any(attack: Attack, arena: Arena) -> None:
    outcome = attack("print(open('/proc/self/status').read(), open('/proc/self/uid_map').read())")

    status = dict(line.split(":\t", 1) for line in outcome.stdout.decode().splitlines() if ":\t" in line)
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert arena.record.uid_separate is arena.root


def test_a_root_agents_job_is_nobody_outside_as_well(arena: Arena) -> None:
    in_dir, out_dir = arena.folders()
    handle = arena.sandbox.start(arena.spec("import time; time.sleep(20)"), in_dir, out_dir)
    wait_until(lambda: len(arena.sandbox.processes_of(handle)) == 2)

    uids = {watch.uid_of(pid) for pid in arena.sandbox.processes_of(handle)}
    arena.sandbox.cancel(handle)

    assert arena.sandbox.collect(handle).reason is Reason.CANCELLED
    if arena.root:
        assert all(uid is not None and 200_000 <= uid < 201_000 for uid in uids)
    else:
        assert uids == {os.getuid()}


def test_daemons_that_ignore_every_signal_do_not_outlive_the_job(attack: Attack) -> None:
    marker = f"{time.time_ns()}"

    outcome = attack(
        f"""
import os, signal, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        os.execv("/rt/bin/python3", ["{marker}", "-S", "-c", "import time; time.sleep(300)"])
time.sleep(0.3)
"""
    )

    assert outcome.reason is Reason.OK
    assert _processes_named(marker) == 0


def test_killing_everything_kills_only_the_job_itself(attack: Attack) -> None:
    outcome = attack(
        "import os\ntry: os.kill(1, 9)\nexcept OSError: pass\nprint('alive', flush=True)\nos.kill(-1, 9)\nprint('on')"
    )

    assert outcome.reason in (Reason.OK, Reason.NONZERO_EXIT)
    assert outcome.stdout.startswith(b"alive")
    assert os.getpid() > 0


def test_malicious_outputs_are_rejected_one_by_one(attack: Attack, arena: Arena) -> None:
    outcome = attack(
        """
import os, socket
os.chdir("/out")
os.symlink("/etc/shadow", "link"); os.symlink("/", "root"); os.symlink("loop", "loop"); os.symlink("..", "up")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("good", "w").write("fine"); os.chmod("good", 0o4777)
open("twin", "w").write("x"); os.link("twin", "twin2")
open("bell\\a\\x1b[31m", "w"); open(b"\\xff\\xfe", "w"); open("new\\nline", "w"); open("rtl\\u202e", "w")
os.makedirs("/".join("d" * 15)); open("/".join("d" * 15) + "/deep", "w")
open("x" * 200, "w")
"""
    )

    codes = {rejection.path: rejection.code for rejection in outcome.rejected}
    assert outcome.reason is Reason.OK
    assert not outcome.succeeded
    assert [file.path for file in outcome.files] == ["good"]
    assert {codes[name] for name in ("link", "root", "loop", "up", "fifo", "socket")} == {"not_regular"}
    assert codes["twin"] == codes["twin2"] == "hard_link"
    assert codes["/".join("d" * 8)] == "too_deep"
    assert sum(code == "bad_name" for code in codes.values()) == 5
    assert all(path.isascii() and path.isprintable() for path in codes)
    taken = next(arena.folder.glob("out*/good"))
    assert taken.stat().st_mode & 0o7777 == 0o644


def _processes_named(name: str) -> int:
    count = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            count += Path(f"/proc/{pid}/cmdline").read_bytes().startswith(name.encode())
    return count
