"""What a live panel is: a partial, the read behind it, and the topics that make it render again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise

from common import errors
from dashboard.queries.viewer import Viewer

KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,120}")


@dataclass(frozen=True)
class Panel:
    """One kind of panel. `read` raises errors.NotFound for whoever may not see what `key` names.

    `topics` is asked only after `read` has let the viewer in.
    """

    name: str
    label: str | Promise
    read: Callable[[Viewer, str], Mapping[str, Any]]
    topics: Callable[[Viewer, str], tuple[str, ...]]
    css: str = "panel"
    tag: str = "section"
    app: str = "dashboard"

    @property
    def template(self) -> str:
        """The partial that page, poll and socket render alike."""
        return f"{self.app}/panels/_{self.name.replace('-', '_')}.html"


def number(key: str) -> int:
    """The id in a key. Raises: errors.NotFound."""
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise errors.NotFound
    return int(key)
