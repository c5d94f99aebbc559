"""What of django-allauth is ours: who may sign up, where a login leads, how MFA secrets are kept."""

import base64
from functools import cache
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse

from accounts.authentication.members import INVITATION_COOKIE
from accounts.models import Cooperative


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Sign-up opens once the first steward has set the platform up; an invitation outlives the login."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anybody may make an account: not before there is a cooperative."""
        return Cooperative.objects.exists()

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Back to the invitation that led here, otherwise home."""
        token = request.COOKIES.get(INVITATION_COOKIE, "")
        try:
            return reverse("invite", args=[token])
        except NoReverseMatch:
            return str(super().get_login_redirect_url(request))

    def render_mail(self, *arguments: Any, **options: Any) -> EmailMessage:
        """Every mail has an HTML part beside its text, with links that can be clicked."""
        message: EmailMessage = super().render_mail(*arguments, **options)
        if isinstance(message, EmailMultiAlternatives) and not message.alternatives:
            html = render_to_string("accounts/email/plain.html", {"subject": message.subject, "text": message.body})
            message.attach_alternative(html, "text/html")
        return message


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """TOTP secrets and seeds of recovery codes are encrypted at rest with a key derived from SECRET_KEY."""

    def encrypt(self, text: str) -> str:
        """Fernet token of `text` under the newest key."""
        return _ciphers((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The text again, also under a fallback key. Raises: cryptography.fernet.InvalidToken."""
        ciphers = _ciphers((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))
        return ciphers.decrypt(encrypted_text.encode()).decode()

    def get_totp_issuer(self) -> str:
        """The name beside the code in an authenticator app."""
        return "Commongrid"


@cache
def _ciphers(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(_key(secret)) for secret in secrets])


def _key(secret: str) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"commongrid mfa secrets")
    return base64.urlsafe_b64encode(derivation.derive(secret.encode()))
