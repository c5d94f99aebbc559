"""Answers kept under the `Idempotency-Key` of a request, so that sending it again does nothing twice.

An answer is written in the transaction of the act it tells of: there are both or neither. It may hold a secret that
is shown once, so it is sealed with a key that is made from the platform's secret and the caller's key; the
caller's key itself is not stored.
"""

import base64
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import transaction
from django.utils.encoding import force_bytes

from accounts.models import KeptReply
from common import locks
from common.errors import Conflict
from common.words import said as _
from opengrid import digests

KEPT = timedelta(hours=24)
FORGOTTEN_AT_ONCE = 5_000


class IdempotencyKeyReused(Conflict):
    """The key belongs to another request of the same caller."""

    code = "idempotency_key_reused"
    title = _("This idempotency key was used for a different request")


@transaction.atomic
def earlier_reply(*, caller: str, key: str, fingerprint: str) -> tuple[int, bytes] | None:
    """Status and body that the same request got before, None if it is new.

    Holds the key's lock until the caller's transaction ends, so that of two equal requests at once the second one waits
    for the first. Raises: IdempotencyKeyReused, locks.NotInTransaction.
    """
    digest = _digest(caller, key)
    locks.lock(locks.Space.REQUEST, [digest])
    kept = KeptReply.objects.filter(key_digest=digest).first()
    if kept is None:
        return None
    if kept.fingerprint != fingerprint:
        raise IdempotencyKeyReused(_("found another request under this key; a new request needs a new key"))
    return kept.status, _open(bytes(kept.sealed), caller, key)


@transaction.atomic
def keep_reply(*, caller: str, key: str, fingerprint: str, status: int, body: bytes, now: datetime) -> None:
    """Remember an answer for 24 hours, in the transaction of the act."""
    KeptReply.objects.create(
        key_digest=_digest(caller, key),
        fingerprint=fingerprint,
        status=status,
        sealed=_cipher(settings.SECRET_KEY, caller, key).encrypt(body),
        kept_at=now,
    )


@transaction.atomic
def forget_replies(*, now: datetime) -> int:
    """Delete what has been kept for 24 hours, some thousands at a time; return how many."""
    old = KeptReply.objects.filter(kept_at__lte=now - KEPT).order_by("kept_at", "pk")[:FORGOTTEN_AT_ONCE]
    return KeptReply.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()[0]


def _digest(caller: str, key: str) -> str:
    return digests.of_document([caller, key])


def _open(sealed: bytes, caller: str, key: str) -> bytes:
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        try:
            return _cipher(secret, caller, key).decrypt(sealed)
        except InvalidToken:
            continue
    raise IdempotencyKeyReused(
        _(
            "the request was carried out under this key, and its answer was sealed with a secret key "
            "of the platform that is gone; look at what it did, and use a new key for a new request"
        )
    )


def _cipher(secret: str | bytes, caller: str, key: str) -> Fernet:
    info = f"commongrid kept replies {_digest(caller, key)} {key}".encode()
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
    return Fernet(base64.urlsafe_b64encode(derivation.derive(force_bytes(secret))))
