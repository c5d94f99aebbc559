"""Who is asking: the bearer of an API token or a session, as a member of which cooperative."""

from accounts.authentication.bearer import ApiTokenScheme, TokenAuthentication
from accounts.authentication.members import (
    INVITATION_COOKIE,
    NoMembership,
    ScopeNotGranted,
    allows,
    choose_cooperative,
    current_membership,
    member_page,
    membership_of,
    person_of,
    require,
)
from accounts.authentication.once import IdempotencyKeyInvalid, once
from accounts.authentication.second_factor import (
    confirm_address,
    factors_of,
    set_up_address,
    used_second_factor,
)
from accounts.authentication.session import PageSessionScheme, SessionAuthentication

__all__ = [
    "INVITATION_COOKIE",
    "ApiTokenScheme",
    "IdempotencyKeyInvalid",
    "NoMembership",
    "PageSessionScheme",
    "ScopeNotGranted",
    "SessionAuthentication",
    "TokenAuthentication",
    "allows",
    "choose_cooperative",
    "confirm_address",
    "current_membership",
    "factors_of",
    "member_page",
    "membership_of",
    "once",
    "person_of",
    "require",
    "set_up_address",
    "used_second_factor",
]
