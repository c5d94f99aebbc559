"""Credits that one member gives to another."""

from django.db import transaction

from accounts.models import Membership
from accounts.services import permissions
from common import live
from common.errors import Invalid, NotFound
from common.words import said as _
from ledger import services as ledger
from ledger.core.postings import MAX_REASON, Entry
from opengrid import digests

MOST_MICRO = 10**15


class SendingRefused(Invalid):
    """The amount, the receiver or the reason cannot be accepted; `extra["field"]` names which."""

    code = "sending_refused"
    title = _("These credits cannot be sent")


@transaction.atomic
def send_credits(*, by: Membership, to: Membership, amount_micro: int, reason: str, key: str) -> tuple[str, int]:
    """Move credits from one member's wallet to another's, once under the sender's own `key`.

    Returns key and id of the transfer. Raises: NotAllowed, NotFound (a receiver who is not a current member of the
    same cooperative), SendingRefused, ledger InsufficientFunds, ledger KeyReused.
    """
    by = permissions.require(by, "wallet.send")
    reason = reason.strip()
    if not 0 < len(reason) <= MAX_REASON:
        raise SendingRefused(
            _("a reason of 1 to %(max_reason)s characters is needed", max_reason=MAX_REASON), extra={"field": "reason"}
        )
    if not 0 < amount_micro <= MOST_MICRO:
        raise SendingRefused(
            _(
                "found %(amount_micro)s micro-credits; accepted are 1 to %(most_micro)s",
                amount_micro=amount_micro,
                most_micro=MOST_MICRO,
            ),
            extra={"field": "amount_micro"},
        )
    if to.cooperative_id != by.cooperative_id or to.left_at is not None:
        raise NotFound(_("there is no such member of your cooperative"))
    if to.pk == by.pk:
        raise SendingRefused(_("this is your own wallet; accepted is another member's"), extra={"field": "to"})
    transfer_key = f"send:{by.pk}:{digests.of_bytes(key.encode()).removeprefix('sha256:')[:40]}"
    transfer_id = ledger.transfer(
        key=transfer_key,
        kind="SEND",
        entries=[Entry(by.wallet, -amount_micro), Entry(to.wallet, amount_micro)],
        reason=reason,
    )
    live.publish(f"wallet.{by.pk}")
    live.publish(f"wallet.{to.pk}")
    return transfer_key, transfer_id
