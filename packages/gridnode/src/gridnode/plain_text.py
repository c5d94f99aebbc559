"""Text that strangers wrote (a job's output, a coordinator's words), made harmless for logs, pages and terminals."""

import unicodedata

_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Controls, direction marks, surrogates, private use and odd line ends."""


def tamed(text: str | bytes, limit: int, *, keeps_lines: bool = True) -> str:
    """The last `limit` characters without control characters; tabs become spaces, line ends `\\n`, or spaces as well.

    Bytes that are no UTF-8 appear as U+FFFD.
    """
    whole = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    lines = whole.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").split("\n")
    kept = ("".join(letter for letter in line if unicodedata.category(letter) not in _DROPPED) for line in lines)
    return ("\n" if keeps_lines else " ").join(kept)[-limit:]
