"""Whether a person has a second factor, and whether this session was opened with it."""

from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import User


def factors_of(user: User) -> set[str]:
    """The kinds of second factor that the person has; recovery codes alone are none."""
    kinds = Authenticator.objects.filter(user=user).values_list("type", flat=True)
    return set(kinds) - {Authenticator.Type.RECOVERY_CODES}


def used_second_factor(request: HttpRequest) -> bool:
    """Whether this session was signed in to, or confirmed, with a second factor."""
    return any(record.get("method") == "mfa" for record in get_authentication_records(request, request.user))


def set_up_address() -> str:
    """Where a person sets a second factor up."""
    return reverse("mfa_activate_totp")


def confirm_address(factors: set[str], back_to: str) -> str:
    """Where a person who has `factors` confirms one for this session, and then goes back."""
    only_keys = Authenticator.Type.WEBAUTHN in factors and Authenticator.Type.TOTP not in factors
    page = "mfa_reauthenticate_webauthn" if only_keys else "mfa_reauthenticate"
    return f"{reverse(page)}?{urlencode({'next': back_to})}"
