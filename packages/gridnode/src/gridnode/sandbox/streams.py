"""Bytes in and out of a job: captured output under one limit, files handed over in memory."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from dataclasses import dataclass, field


@dataclass(slots=True)
class Output:
    """The two captured streams; together they may hold `limit` bytes."""

    limit: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    seen: int = 0

    def add(self, stream: bytearray, data: bytes) -> None:
        """Counts the data and keeps what there is room for."""
        self.seen += len(data)
        room = self.limit - len(self.stdout) - len(self.stderr)
        stream += data[: max(0, room)]

    @property
    def exceeded(self) -> bool:
        """Whether more came than may be kept."""
        return self.seen > self.limit


def in_memory(name: str, content: bytes) -> int:
    """A descriptor (close-on-exec) of an anonymous file with this content, at its start."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    written = 0
    while written < len(content):
        written += os.write(fd, content[written:])
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def unread(pipe_write: int) -> bool:
    """Whether a byte written to the pipe is still waiting in it."""
    answer = fcntl.ioctl(pipe_write, termios.FIONREAD, b"\0\0\0\0")
    return int.from_bytes(answer, sys.byteorder) > 0
