"""People who are made by the platform's own acts and not by the sign-up form."""

from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction

from accounts.models import User
from common.errors import Conflict
from common.words import said as _


class EmailTaken(Conflict):
    """The address belongs to somebody already."""

    code = "email_taken"
    title = _("This e-mail address has an account already")


@transaction.atomic
def create_person(*, email: str, password: str, display_name: str = "") -> User:
    """A person whose e-mail address counts as verified, who can log in at once. Raises: EmailTaken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, display_name=display_name)
    except IntegrityError as error:
        raise EmailTaken(_("%(email)s has an account; log in with it or give another address", email=email)) from error
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def has_verified(user: User, email: str) -> bool:
    """Whether `user` has proved to own `email`."""
    found: bool = EmailAddress.objects.filter(user=user, email__iexact=email, verified=True).exists()
    return found
