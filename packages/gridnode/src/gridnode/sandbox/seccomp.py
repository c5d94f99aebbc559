"""The seccomp filter of every job: a classic BPF deny-list assembled here, for x86_64 only.

Layout of struct seccomp_data: nr at 0, arch at 4, args[i] at 16 + 8*i (low half first).
A deny-list is weaker than an allow-list; it stands behind namespaces, no capabilities and the
uid change, and takes away the kernel's rarely used doors. Source: seccomp(2), Linux UAPI headers.
"""

from __future__ import annotations

import errno
import platform
import struct

from gridnode.sandbox.spec import SandboxUnavailable

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
RET_ALLOW = 0x7FFF0000
RET_ERRNO = 0x00050000
RET_KILL_PROCESS = 0x80000000
_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NR, _ARCH = 0, 4

# CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
NAMESPACE_FLAGS = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
ALLOWED_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6: all confined to the job's own network
DENIED_IOCTLS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into a terminal

# name -> number on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl)
DENIED: dict[str, int] = {
    # other processes
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_getfd": 438, "process_madvise": 440,
    # namespaces and mounts
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
    "swapon": 167, "swapoff": 168, "quotactl": 179, "quotactl_fd": 443,
    # files by handle, watching the whole file system
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "lookup_dcookie": 212,
    # kernel interfaces with a long record of holes
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "add_key": 248, "request_key": 249,
    "keyctl": 250, "memfd_secret": 447, "vmsplice": 278,
    # modules, clocks, machine control
    "init_module": 175, "finit_module": 313, "delete_module": 176, "create_module": 174,
    "query_module": 178, "get_kernel_syms": 177, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "acct": 163, "syslog": 103, "settimeofday": 164, "clock_settime": 227,
    "clock_adjtime": 305, "adjtimex": 159, "sethostname": 170, "setdomainname": 171, "iopl": 172,
    "ioperm": 173, "modify_ldt": 154, "vhangup": 153, "uselib": 134, "nfsservctl": 180,
    "_sysctl": 156, "ustat": 136, "sysfs": 139,
    # memory of other nodes and memory that no file system or process limit sees
    "move_pages": 279, "migrate_pages": 256, "mbind": 237, "set_mempolicy": 238,
    "set_mempolicy_home_node": 450, "memfd_create": 319, "shmget": 29, "shmat": 30, "shmctl": 31,
    "msgget": 68, "semget": 64, "mq_open": 240,
}  # fmt: skip
SOCKET_CALLS = {"socket": 41, "socketpair": 53}
CLONE, CLONE3, IOCTL = 56, 435, 16


def require_supported_architecture() -> None:
    """Raise SandboxUnavailable where no table of system call numbers has been written."""
    machine = platform.machine()
    if machine != "x86_64":
        raise SandboxUnavailable(
            "architecture_unsupported",
            f"this machine is {machine}; the system call filter exists for x86_64 only",
        )


def program() -> bytes:
    """The filter as an array of struct sock_filter, ready for bwrap --seccomp.

    Denied calls fail with EPERM; clone3 with ENOSYS, so that libc falls back to clone, whose flags
    can be seen; another architecture or the x32 numbers kill the process.
    Raises: SandboxUnavailable on an architecture without a table.
    """
    require_supported_architecture()
    deny = RET_ERRNO | errno.EPERM
    code = [
        _op(_LOAD, _ARCH),
        _op(_JEQ, AUDIT_ARCH_X86_64, when_true=1),
        _op(_RET, RET_KILL_PROCESS),
        _op(_LOAD, _NR),
        _op(_JGE, X32_BIT, when_false=1),
        _op(_RET, RET_KILL_PROCESS),
    ]
    for number in sorted(DENIED.values()):
        code += _when(number, [_op(_RET, deny)])
    code += _when(CLONE3, [_op(_RET, RET_ERRNO | errno.ENOSYS)])
    code += _when(
        CLONE,
        [_op(_LOAD, _argument(0)), _op(_JSET, NAMESPACE_FLAGS, when_false=1), _op(_RET, deny)],
        then=RET_ALLOW,
    )
    families = [_op(_LOAD, _argument(0))]
    for family in ALLOWED_FAMILIES:
        families += [_op(_JEQ, family, when_false=1), _op(_RET, RET_ALLOW)]
    for number in SOCKET_CALLS.values():
        code += _when(number, families, then=deny)
    ioctls = [_op(_LOAD, _argument(1))]
    for request in DENIED_IOCTLS:
        ioctls += [_op(_JEQ, request, when_false=1), _op(_RET, deny)]
    code += _when(IOCTL, ioctls, then=RET_ALLOW)
    code.append(_op(_RET, RET_ALLOW))
    return b"".join(code)


def _op(code: int, operand: int, *, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, operand)


def _when(number: int, body: list[bytes], *, then: int | None = None) -> list[bytes]:
    """`body` if the call is `number` (the accumulator holds the call number before and after)."""
    whole = body if then is None else [*body, _op(_RET, then)]
    return [_op(_JEQ, number, when_false=len(whole)), *whole]


def _argument(index: int) -> int:
    return 16 + 8 * index
