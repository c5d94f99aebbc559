"""The filter, executed instruction by instruction as the kernel would."""

from __future__ import annotations

import errno
import struct

from hypothesis import assume, given
from hypothesis import strategies as st

from gridnode.sandbox import seccomp

PROGRAM = [struct.unpack_from("<HBBI", seccomp.program(), at) for at in range(0, len(seccomp.program()), 8)]
DENY = seccomp.RET_ERRNO | errno.EPERM
SPECIAL = {seccomp.CLONE, seccomp.CLONE3, seccomp.IOCTL, *seccomp.SOCKET_CALLS.values()}
ARGUMENTS = st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6)


def decide(number: int, arguments: list[int], arch: int = seccomp.AUDIT_ARCH_X86_64) -> int:
    """What the filter returns for one call (classic BPF: load, compare, return)."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments)
    accumulator = at = 0
    while True:
        code, when_true, when_false, operand = PROGRAM[at]
        if code == 0x06:
            return operand
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
            at += 1
            continue
        holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}[code]
        at += 1 + (when_true if holds else when_false)


@given(number=st.integers(0, 600), arguments=ARGUMENTS)
def test_every_call_is_decided_by_the_table(number: int, arguments: list[int]) -> None:
    if number in SPECIAL:
        return

    assert decide(number, arguments) == (DENY if number in seccomp.DENIED.values() else seccomp.RET_ALLOW)


@given(flags=st.integers(0, 2**64 - 1))
def test_clone_is_refused_exactly_if_it_asks_for_a_namespace(flags: int) -> None:
    expected = DENY if flags & seccomp.NAMESPACE_FLAGS else seccomp.RET_ALLOW

    assert decide(seccomp.CLONE, [flags, 0, 0, 0, 0, 0]) == expected


@given(arguments=ARGUMENTS)
def test_clone3_does_not_exist_so_that_libc_uses_clone(arguments: list[int]) -> None:
    assert decide(seccomp.CLONE3, arguments) == seccomp.RET_ERRNO | errno.ENOSYS


@given(family=st.one_of(st.integers(0, 60), st.integers(0, 2**32 - 1)), high=st.integers(0, 2**32 - 1))
def test_sockets_are_refused_but_for_unix_and_ip(family: int, high: int) -> None:
    for number in seccomp.SOCKET_CALLS.values():
        expected = seccomp.RET_ALLOW if family in (1, 2, 10) else DENY
        assert decide(number, [high << 32 | family, 0, 0, 0, 0, 0]) == expected


@given(request=st.one_of(st.sampled_from([0x5412, 0x541C]), st.integers(0, 2**32 - 1)), high=st.integers(0, 2**32 - 1))
def test_typing_into_a_terminal_is_refused_whatever_the_upper_half_says(request: int, high: int) -> None:
    expected = DENY if request in (0x5412, 0x541C) else seccomp.RET_ALLOW

    assert decide(seccomp.IOCTL, [0, high << 32 | request, 0, 0, 0, 0]) == expected


@given(number=st.integers(seccomp.X32_BIT, 2**32 - 1), arguments=ARGUMENTS)
def test_the_x32_numbers_kill(number: int, arguments: list[int]) -> None:
    assert decide(number, arguments) == seccomp.RET_KILL_PROCESS


@given(number=st.integers(0, 600), arch=st.integers(0, 2**32 - 1))
def test_another_architecture_kills(number: int, arch: int) -> None:
    assume(arch != seccomp.AUDIT_ARCH_X86_64)

    assert decide(number, [0] * 6, arch) == seccomp.RET_KILL_PROCESS


def test_the_program_fits_the_kernels_limit() -> None:
    assert len(PROGRAM) <= 4096
    assert len(set(seccomp.DENIED.values())) == len(seccomp.DENIED)
