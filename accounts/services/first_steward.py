"""The first steward: a one-time link while the platform has no cooperative."""

import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from accounts import queries
from accounts.core import tokens
from accounts.models import Cooperative, Membership, SetupLink
from accounts.services import cooperatives, people
from common import locks
from common.errors import Conflict
from common.words import said as _

VALID_HOURS = 24
_SETUP = "setup"


class SetupLinkExpired(Conflict):
    """The link came too late."""

    code = "setup_link_expired"
    title = _("This link has expired")


@transaction.atomic
def first_steward_link(now: datetime) -> str | None:
    """A new link, valid for 24 hours, which replaces any older one; None once a cooperative exists."""
    locks.lock(locks.Space.COOPERATIVE, [_SETUP])
    if Cooperative.objects.exists():
        return None
    token = secrets.token_urlsafe(32)
    SetupLink.objects.update_or_create(
        only=True,
        defaults={
            "token_digest": tokens.digest(token),
            "expires_at": now + timedelta(hours=VALID_HOURS),
        },
    )
    return f"{settings.PUBLIC_URL}{reverse('setup', args=[token])}"


@transaction.atomic
def use_first_steward_link(
    *,
    token: str,
    email: str,
    password: str,
    display_name: str,
    cooperative_name: str,
    cooperative_slug: str,
    now: datetime,
) -> Membership:
    """Create the first person and the first cooperative, and use the link up.

    Raises: NotFound (unknown or used link), SetupLinkExpired, EmailTaken, SlugTaken.
    """
    locks.lock(locks.Space.COOPERATIVE, [_SETUP])
    link = queries.setup_link(token)
    if link.expires_at <= now:
        raise SetupLinkExpired(
            _(
                "it was valid until %(expires_at)s UTC; `manage.py first_steward_link` prints a new one",
                expires_at=f"{link.expires_at:%Y-%m-%d %H:%M}",
            )
        )
    link.delete()
    user = people.create_person(email=email, password=password, display_name=display_name)
    cooperative = cooperatives.found_cooperative(name=cooperative_name, slug=cooperative_slug, founder=user, now=now)
    return cooperative.memberships.select_related("user", "cooperative").get()
