"""Keys of model publishers: registered by who holds them, revoked for good."""

from datetime import datetime

from django.db import IntegrityError, transaction

from accounts import services as accounts
from accounts.models import Membership
from common.errors import Conflict, Invalid, NotFound
from common.words import said as _
from opengrid import keys
from registry.core import publishers
from registry.models import PublisherKey


class PublisherProofInvalid(Invalid):
    """The proof was not made by the key, for this member."""

    code = "publisher_proof_invalid"
    title = _("The proof does not fit the key and the member")


class PublisherKeyInUse(Conflict):
    """The key belongs to another member, or was revoked."""

    code = "publisher_key_in_use"
    title = _("This key cannot be registered")


def register_publisher_key(*, membership: Membership, public_key: str, proof: str, now: datetime) -> PublisherKey:
    """Register the key for `membership`; again is no conflict.

    `proof` signs `publishers.possession_document` in the context `publishers.CONTEXT`.
    Raises: accounts.NotAllowed, PublisherProofInvalid, PublisherKeyInUse.
    """
    accounts.require(membership, "models.publish")
    document = publishers.possession_document(public_key, membership.pk)
    try:
        keys.verify_document(public_key, publishers.CONTEXT, document, proof)
    except (keys.BadSignature, keys.BadKey) as error:
        raise PublisherProofInvalid(
            _(
                "%(message)s; sign this document in the context %(context)s",
                message=error.message,
                context=publishers.CONTEXT,
            ),
            extra={"document": document, "context": publishers.CONTEXT},
        ) from error
    try:
        with transaction.atomic():
            return PublisherKey.objects.create(membership=membership, public_key=public_key, registered_at=now)
    except IntegrityError as error:
        known = PublisherKey.objects.get(public_key=public_key)
        if known.membership_id == membership.pk and known.revoked_at is None:
            return known
        raise PublisherKeyInUse(_("the key belongs to another member or was revoked; make a new one")) from error


@transaction.atomic
def revoke_publisher_key(*, membership: Membership, public_key: str, now: datetime) -> PublisherKey:
    """Stop trusting the key: nothing new is published with it and no new job uses its versions.

    Raises: NotFound.
    """
    own = PublisherKey.objects.select_for_update(no_key=True).filter(membership=membership, public_key=public_key)
    key = own.first()
    if key is None:
        raise NotFound(_("you have registered no such key"))
    if key.revoked_at is None:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])
    return key
