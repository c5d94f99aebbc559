"""Digests name content: `sha256:` followed by 64 lowercase hexadecimal digits."""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from opengrid import canonical

PATTERN = r"^sha256:[0-9a-f]{64}$"
_PATTERN = re.compile(PATTERN)


def of_bytes(data: bytes) -> str:
    """Digest of `data`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def of_chunks(chunks: Iterable[bytes]) -> tuple[str, int]:
    """Digest and size in bytes of a stream of chunks."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return f"sha256:{digest.hexdigest()}", size


def of_document(document: Any) -> str:
    """Digest of the canonical bytes of a document. Raises: canonical.NotCanonical."""
    return of_bytes(canonical.canonical_bytes(document))


def is_digest(text: str) -> bool:
    """Whether `text` is a well-formed digest."""
    return _PATTERN.fullmatch(text) is not None
