"""Addresses: the names of places where credits lie. The ledger knows nothing else about people.

coop:<n>:issuance | treasury | reserve | assurance    a cooperative's own accounts
coop:<n>:member:<m>                                   the wallet of a membership
hold:<job | order | lease | task>:<n>                 credits set aside for one thing
"""

import re
from typing import Final

from common import errors
from common.words import said as _

ACCEPTED: Final = (
    r"^(coop:[1-9][0-9]{0,18}:(issuance|treasury|reserve|assurance|member:[1-9][0-9]{0,18})"
    r"|hold:(job|order|lease|task):[1-9][0-9]{0,18})$"
)
"""The grammar, in the part of the notation that Python and PostgreSQL share."""
MAY_BE_NEGATIVE: Final = r"^coop:[1-9][0-9]{0,18}:(issuance|assurance)$"
"""Issuance is where credits come from; assurance may owe for checks already made (decisions/0003)."""
HOLD: Final = "hold:"


class BadAddress(errors.Invalid):
    """The text is not an address."""

    code = "bad_address"
    title = _("There is no such place in the ledger")


def check(address: str) -> str:
    """Return `address` if it is one. Raises: BadAddress."""
    if re.fullmatch(ACCEPTED, address) is None:
        raise BadAddress(
            f"found {address[:100]!r}; accepted are coop:<n>:issuance, :treasury, :reserve, :assurance, "
            "coop:<n>:member:<m> and hold:job|order|lease|task:<n>"
        )
    return address


def may_be_negative(address: str) -> bool:
    """Whether the balance of `address` may go below zero; the address alone decides it."""
    return re.fullmatch(MAY_BE_NEGATIVE, address) is not None


def is_hold(address: str) -> bool:
    """Whether credits at `address` are set aside for something."""
    return address.startswith(HOLD)
