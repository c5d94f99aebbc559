"""How a publisher proves to hold a key: by signing who registers it."""

from typing import Final

CONTEXT: Final = "publisher-key"
"""The opengrid signing context of the proof; it is valid for no other purpose."""


def possession_document(public_key: str, membership_id: int) -> dict[str, str | int]:
    """What the key signs, so that nobody can register another's key or reuse another's proof."""
    return {"membership_id": membership_id, "public_key": public_key}
