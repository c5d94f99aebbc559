"""Which shared libraries an ELF file needs, as the machine's own dynamic loader resolves them.

The loader is asked with `--list` (what ldd does), so RPATH, $ORIGIN and the loader cache are
followed exactly as at run time; `--list` maps files but runs no code of theirs.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

_RESOLVED = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/.+) \(0x[0-9a-f]+\)$")
_MISSING = re.compile(r"^\s*(?P<name>\S+) => not found$")
_PT_INTERP = 3


class NotAnElfProgram(ValueError):
    """The file is not a 64-bit little-endian ELF program with an interpreter."""


class LibraryNotFound(OSError):
    """A needed shared library is not on this machine. `names` lists what is missing."""

    def __init__(self, subject: Path, names: tuple[str, ...]) -> None:
        super().__init__(f"{subject} needs shared libraries not found here: {', '.join(names)}")
        self.names = names


def is_elf(path: Path) -> bool:
    """Whether the file starts with the ELF magic number."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def interpreter_of(program: Path) -> Path:
    """The PT_INTERP path of an ELF program, e.g. /lib64/ld-linux-x86-64.so.2.

    Source: System V ABI, chapter 5 (program header), ELF64 layout.
    Raises: NotAnElfProgram.
    """
    with program.open("rb") as file:
        header = file.read(64)
        if len(header) < 64 or header[:4] != b"\x7fELF" or header[4] != 2 or header[5] != 1:
            raise NotAnElfProgram(f"{program} is not a 64-bit little-endian ELF file")
        (table_at,) = struct.unpack_from("<Q", header, 0x20)
        entry_size, entries = struct.unpack_from("<HH", header, 0x36)
        for index in range(entries):
            file.seek(table_at + index * entry_size)
            entry = file.read(entry_size)
            (kind,) = struct.unpack_from("<I", entry, 0)
            if kind == _PT_INTERP:
                offset, size = struct.unpack_from("<Q16xQ", entry, 8)
                file.seek(offset)
                return Path(file.read(size).rstrip(b"\0").decode())
    raise NotAnElfProgram(f"{program} has no program interpreter (static or a library)")


def needed_by(subject: Path, *, loader: Path) -> dict[str, Path]:
    """All shared libraries `subject` loads, direct and indirect: {soname: path on this machine}.

    The loader itself and the kernel's vdso are left out. An ELF file without dynamic section
    needs nothing. Raises: LibraryNotFound.
    """
    listing = subprocess.run(
        [str(loader), "--list", str(subject)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    found: dict[str, Path] = {}
    missing: list[str] = []
    for line in (listing.stdout + listing.stderr).splitlines():
        if match := _RESOLVED.match(line):
            found[match["name"]] = Path(match["path"])
        elif match := _MISSING.match(line):
            missing.append(match["name"])
        elif "error while loading shared libraries" in line:
            missing.append(line.split(": ")[2] if line.count(": ") >= 2 else line)
    if missing:
        raise LibraryNotFound(subject, tuple(dict.fromkeys(missing)))
    return found
