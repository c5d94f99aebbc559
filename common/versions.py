"""What somebody saw when they decided to change a thing: an ETag made of the values that may change.

A change names it in `If-Match`, and the service compares it under the lock of the change, so that nobody
overwrites what was not on the screen.
"""

import re
from collections.abc import Mapping
from typing import Final

from common.errors import AppError
from common.words import said as _
from opengrid import digests

ANY: Final = "*"
_TAG = re.compile(r'"[0-9a-f]{32}"')


class ChangedMeanwhile(AppError):
    """Somebody else has changed the thing since it was read; `version` is the one to read now."""

    code = "changed_meanwhile"
    status = 412
    title = _("This has been changed meanwhile")


class VersionRequired(AppError):
    """The change does not say which version of the thing it is about."""

    code = "version_required"
    status = 428
    title = _("Say which version you are changing")


def of(*values: int | str | None) -> str:
    """The version of a thing whose changeable values these are: a strong ETag."""
    digest = digests.of_document([str(value) if value is not None else None for value in values])
    return f'"{digest.removeprefix("sha256:")[:32]}"'


def wanted(headers: Mapping[str, str]) -> str:
    """The version in If-Match; `*` takes any. Raises: VersionRequired."""
    text = headers.get("If-Match", "").strip()
    if text != ANY and _TAG.fullmatch(text) is None:
        raise VersionRequired(
            _(
                "found %(text)s; accepted is the ETag that reading the thing gave, such as If-Match: "
                '"0123456789abcdef0123456789abcdef", or * for any version',
                text=repr(text[:60] or "no If-Match header"),
            )
        )
    return text


def check(expected: str | None, current: str) -> None:
    """Raises: ChangedMeanwhile unless `expected` is `current`, any, or nothing was expected."""
    if expected not in (None, ANY, current):
        raise ChangedMeanwhile(
            _(
                "found version %(current)s; you saw %(expected)s. Read it again and decide anew",
                current=current,
                expected=expected,
            ),
            extra={"version": current},
        )
