"""What a file really is, by its first bytes: pickles and their wrappers are refused by name.

A file's extension is a wish. These formats run code when they are loaded, or hide one that does.
"""

from typing import Final

HEAD_BYTES: Final = 512
_TAR_MAGIC_AT: Final = 257

_MAGIC: Final = (
    (b"PK\x03\x04", "a zip archive (PyTorch .pt, .npz, Keras)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "gzip (a compressed pickle or joblib file)"),
    (b"BZh", "bzip2 (a compressed pickle or joblib file)"),
    (b"\xfd7zXZ\x00", "xz (a compressed pickle or joblib file)"),
    (b"\x04\x22\x4d\x18", "lz4 (a compressed pickle or joblib file)"),
    (b"ZF", "joblib's own compression"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 (Keras)"),
    (b"\x93NUMPY", "a NumPy array, which may hold a pickle"),
    (b"GGUF", "GGUF, which is not accepted yet"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"#!", "a script"),
)
_TEXT_PICKLE_OPENINGS: Final = (b"(lp", b"(dp", b"(ip", b"cos\n", b"c__builtin__\n", b"cbuiltins\n", b"ccopy_reg\n")


def refused_format(head: bytes) -> str | None:
    """Name of the refused format that `head` (the first HEAD_BYTES) opens with; None if it is none."""
    if len(head) >= 2 and head[0] == 0x80 and 1 <= head[1] <= 5:
        return f"a pickle of protocol {head[1]}"
    if head.startswith(_TEXT_PICKLE_OPENINGS):
        return "a pickle of protocol 0"
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "a tar archive (old PyTorch)"
    if len(head) >= 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib (a compressed pickle or joblib file)"
    return next((name for magic, name in _MAGIC if head.startswith(magic)), None)
