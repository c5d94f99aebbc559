"""What a live list is asked for, packed into the key of its panel, so that page, poll and socket ask the same."""

import base64
import binascii
from collections.abc import Mapping

LONGEST = 80
"""Bytes of all values together; a key has room for them and for nothing else."""
PLAIN = "all"


def pack(wish: Mapping[str, str]) -> str:
    """The values as a key of letters, digits, hyphens and underscores; `all` when every one is empty.

    Order counts: `unpack` gives them back under the same names in the same order. Too long values are cut.
    """
    if not any(wish.values()):
        return PLAIN
    values = [value.replace("\n", " ") for value in wish.values()]
    while len(raw := "\n".join(values).encode()) > LONGEST:
        longest = max(range(len(values)), key=lambda number: len(values[number]))
        values[longest] = values[longest][:-1]
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpack(key: str, names: tuple[str, ...]) -> dict[str, str]:
    """The values of a key. Raises: ValueError for a key that is none."""
    if key == PLAIN:
        return dict.fromkeys(names, "")
    try:
        text = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4)).decode(errors="ignore")
    except binascii.Error as error:
        raise ValueError(f"{key[:40]!r} is no packed wish") from error
    values = text.split("\n")
    if len(values) != len(names):
        raise ValueError(f"{key[:40]!r} has {len(values)} values; {len(names)} are needed")
    return dict(zip(names, values, strict=True))
