"""English words that can be said in the reader's language later: programs read them as they are, pages translate them.

Import `said as _`, so that makemessages finds the words. What translates is `common.refusals`; no Django here.
"""

from collections.abc import Mapping


class Said(str):
    """Words with their values filled in, that remember both."""

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object]) -> "Said":
        """The English words."""
        words = super().__new__(cls, template % values if values else template)
        words.template, words.values = template, values
        return words


def said(template: str, **values: object) -> Said:
    """Words such as "found %(number)s lots" with their values; without values a percent sign stands for itself."""
    return Said(template, values)
