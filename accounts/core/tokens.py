"""What a secret looks like and how it is remembered. Secrets themselves are drawn in the services."""

from opengrid import digests

BEGINNING = "cgt_"
"""Every API token begins so, which lets people and secret scanners recognise one."""

SHOWN = 12
"""Characters of an API token that stay readable, so that its owner can tell tokens apart."""

LONGEST = 200


def digest(secret: str) -> str:
    """What is stored instead of `secret` (32 random bytes or more, so a plain SHA-256 is enough)."""
    return digests.of_bytes(secret.encode())


def prefix(secret: str) -> str:
    """The part of an API token that is shown in lists."""
    return secret[:SHOWN]


def may_be_api_token(text: str) -> bool:
    """Whether it is worth asking the database for `text`."""
    return text.startswith(BEGINNING) and SHOWN < len(text) <= LONGEST
