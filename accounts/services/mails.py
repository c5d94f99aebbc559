"""E-mails to people, each as text and as HTML. Sent after the act; one that cannot be sent undoes nothing."""

import logging
import smtplib
from collections.abc import Mapping
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string

from accounts.models import Invitation, JoinRequest

logger = logging.getLogger(__name__)


def mail_invitation(*, invitation: Invitation, link: str) -> bool:
    """Send the link to the address it was made for. False when it could not be sent: hand it over otherwise."""
    context = {"invitation": invitation, "cooperative": invitation.cooperative, "link": link}
    return _send("accounts/email/invitation", invitation.email, context)


def mail_decision(*, request: JoinRequest, link: str) -> bool:
    """Tell a person what became of a request to join. False when it could not be sent."""
    context = {"request": request, "cooperative": request.cooperative, "link": link}
    return _send("accounts/email/join_decision", request.user.email, context)


def _send(template: str, to: str, context: Mapping[str, Any]) -> bool:
    subject = " ".join(render_to_string(f"{template}_subject.txt", context).split())
    message = EmailMultiAlternatives(subject, render_to_string(f"{template}_message.txt", context), to=[to])
    message.attach_alternative(render_to_string(f"{template}_message.html", context), "text/html")
    try:
        return message.send() == 1
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("mail %s could not be sent: %s", template, error)
        return False
