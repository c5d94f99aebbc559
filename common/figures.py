"""Numbers as the reader's language writes them. Whatever makes numbers writes 1,234.5; pages pass it through here."""

import re

from django.utils import formats

_GROUPED = re.compile(
    r"-?[0-9]{1,3}(?P<group>[.,])[0-9]{3}(?P<more>(?:(?P=group)[0-9]{3})*)(?:(?!(?P=group))[.,](?P<part>[0-9]+))?"
)


class TwoWays(ValueError):
    """One number to one reader, another to the next; `whole` and `part` are the two, each written clearly."""

    def __init__(self, whole: str, part: str) -> None:
        super().__init__(f"can be read as {whole} and as {part}")
        self.whole = whole
        self.part = part


def localised(text: str) -> str:
    """A number such as 1,234.50 with the marks of the active language: 1.234,50 in German."""
    marks = {".": formats.get_format("DECIMAL_SEPARATOR"), ",": formats.get_format("THOUSAND_SEPARATOR")}
    return text.translate(str.maketrans(marks))


def plain(text: str) -> str:
    """A number as a person writes it, without groups and with a point: 1234.50 for 1,234.50 and for 1.234,50.

    A lone mark is the decimal one, whichever it is, unless three digits follow it as they would in a group: then it is
    the decimal one only where the active language says so. What is no number stays none. Raises: TwoWays.
    """
    found = _GROUPED.fullmatch(text)
    if found is None or text.startswith(("0", "-0")):
        return text.replace(",", ".")
    mark = found["group"]
    if found["more"] or found["part"]:
        whole, _, part = text.rpartition("," if mark == "." else ".") if found["part"] else (text, "", "")
        return whole.replace(mark, "") + (f".{part}" if part else "")
    decimal = formats.get_format("DECIMAL_SEPARATOR")
    if mark == decimal:
        return text.replace(",", ".")
    raise TwoWays(whole=text.replace(mark, ""), part=text.replace(mark, decimal))
