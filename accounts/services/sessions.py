"""Ending a sign-in elsewhere."""

from allauth.usersessions.models import UserSession
from django.db import transaction

from accounts.models import User
from common.errors import NotFound
from common.words import said as _


@transaction.atomic
def end_session(*, user: User, session_id: int) -> None:
    """End one of the person's own sessions; its cookie opens nothing any more. Raises: NotFound."""
    session = UserSession.objects.filter(user=user, pk=session_id).first()
    if session is None:
        raise NotFound(_("there is no such session of yours"))
    session.end()
