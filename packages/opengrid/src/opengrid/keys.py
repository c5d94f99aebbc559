"""Ed25519 keys: their text form, their file, and signatures over canonical documents.

Signed bytes are `opengrid-v1 LF context LF canonical bytes`, so that a signature made for one
purpose is never valid for another. Text is base64url without padding, in its one spelling.
"""

import base64
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from opengrid import canonical
from opengrid.errors import OpengridError

JOIN: Final = "join"
CAPABILITIES: Final = "capabilities"
CLAIM: Final = "claim"
RECEIPT: Final = "receipt"
MODEL_MANIFEST: Final = "model-manifest"

_PREFIX: Final = b"opengrid-v1\n"
_PUBLIC_PREFIX: Final = "ed25519:"
_PUBLIC_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_KEY_FILE_LIMIT_BYTES: Final = 4096
_CONTEXT = re.compile(r"[a-z][a-z0-9-]{0,63}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

_FIELD: Final = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER_Y: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})
"""y coordinates of the eight points of small order; such a key would accept chance signatures."""


class BadKey(OpengridError):
    """The text, the file or the object is not an acceptable Ed25519 key."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_key", message)


class BadSignature(OpengridError):
    """The signature is not that of this key over these bytes in this context."""

    def __init__(self, message: str) -> None:
        super().__init__("bad_signature", message)


class PrivateKey:
    """An Ed25519 private key. Its text form is never shown; only `save` writes it."""

    __slots__ = ("key", "public_text")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Wrap a key of the cryptography package. Raises: BadKey for any other type of key."""
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"found a {type(key).__name__}; only Ed25519 private keys are accepted")
        self.key = key
        self.public_text = public_text(key.public_key())

    @classmethod
    def generate(cls) -> "PrivateKey":
        """A new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "PrivateKey":
        """Read a key written by `save`.

        Raises: BadKey when the file is not a plain file of this user (or root) with no rights for
        others, or holds no unencrypted Ed25519 key; OSError when it cannot be read.
        """
        with open(path, "rb") as file:
            _check_key_file(path, os.fstat(file.fileno()))
            text = file.read(_KEY_FILE_LIMIT_BYTES)
        try:
            key = serialization.load_pem_private_key(text, password=None)
        except (ValueError, TypeError) as error:
            raise BadKey(f"{path} holds no unencrypted PKCS#8 PEM private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path} holds a {type(key).__name__}; only Ed25519 keys are accepted")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the key as PKCS#8 PEM with mode 0600, whole or not at all, and durably.

        Raises: FileExistsError when `path` exists (a key is never overwritten), OSError.
        """
        text = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write_durably(draft, text)
            os.link(draft, path)  # fails when the name is taken, which rename would not
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(path.parent)

    def sign(self, data: bytes) -> bytes:
        """The 64 raw signature bytes over `data`; documents go through `sign_document`."""
        return self.key.sign(data)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public_text})"


def public_text(key: Ed25519PublicKey) -> str:
    """Text form of a public key: `ed25519:` and 43 characters of base64url."""
    return _PUBLIC_PREFIX + _encode(key.public_bytes_raw())


def public_key(text: str) -> Ed25519PublicKey:
    """Parse the text form. Raises: BadKey for any other spelling and for points of small order."""
    if not text.startswith(_PUBLIC_PREFIX):
        raise BadKey("a public key reads ed25519: and 43 characters of base64url")
    raw = _decode(text.removeprefix(_PUBLIC_PREFIX), _PUBLIC_BYTES)
    if raw is None:
        raise BadKey("a public key reads ed25519: and 43 characters of canonical base64url")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _FIELD or y in _LOW_ORDER_Y:
        raise BadKey("the public key is a point of small order or not in canonical form")
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise BadKey("the public key is not a point of the curve") from error


def signed_bytes(context: str, document: Any) -> bytes:
    """The exact bytes a signature covers; `document` is JSON values or its canonical bytes.

    Raises: ValueError for a context that is not a lowercase word, canonical.NotCanonical.
    """
    if _CONTEXT.fullmatch(context) is None:
        raise ValueError(f"{context!r} is no context; use lowercase letters, digits and hyphens")
    body = document if isinstance(document, bytes) else canonical.canonical_bytes(document)
    return _PREFIX + context.encode() + b"\n" + body


def sign_document(private: PrivateKey, context: str, document: Any) -> str:
    """Sign a document (JSON values, or its canonical bytes) for one purpose: 86 characters.

    Raises: ValueError, canonical.NotCanonical.
    """
    return _encode(private.sign(signed_bytes(context, document)))


def verify_document(public: str, context: str, document: Any, signature: str) -> None:
    """Return if `signature` is that of the key `public` over the document in this context.

    `document` is JSON values or bytes as received; bytes are verified as they stand, so parse them
    with `canonical.parse_canonical` afterwards.
    Raises: BadSignature, BadKey, canonical.NotCanonical.
    """
    key = public_key(public)
    raw = _decode(signature, _SIGNATURE_BYTES)
    if raw is None:
        raise BadSignature("a signature reads 86 characters of canonical base64url")
    try:
        key.verify(raw, signed_bytes(context, document))
    except InvalidSignature as error:
        raise BadSignature(f"the {context} signature does not match its key and content") from error


def join_proof(private: PrivateKey, token: str) -> str:
    """Prove possession of a new key to the coordinator that issued the join token."""
    return sign_document(private, JOIN, _join_document(private.public_text, token))


def verify_join_proof(public: str, token: str, proof: str) -> None:
    """Return if `proof` was made with `public` for this token. Raises: BadSignature, BadKey."""
    verify_document(public, JOIN, _join_document(public, token), proof)


def _join_document(public: str, token: str) -> dict[str, str]:
    return {"public_key": public, "token": token}


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _decode(text: str, size_bytes: int) -> bytes | None:
    """Bytes of base64url text, or None unless it is the one spelling of exactly `size_bytes`."""
    if len(text) != (size_bytes * 8 + 5) // 6 or _BASE64URL.fullmatch(text) is None:
        return None
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw if _encode(raw) == text else None


def _check_key_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise BadKey(f"{path} is not a plain file")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise BadKey(f"{path} has mode {mode:04o}; others must have no rights (chmod 600)")
    if found.st_uid not in (os.geteuid(), 0):
        raise BadKey(f"{path} belongs to user {found.st_uid}; it must belong to this user")
    if found.st_size > _KEY_FILE_LIMIT_BYTES:
        raise BadKey(f"{path} has {found.st_size} bytes; a key file has less than a kilobyte")


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
