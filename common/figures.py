"""Numbers as the reader's language writes them. Whatever makes numbers writes 1,234.5; pages pass it through here."""

from django.utils import formats


def localised(text: str) -> str:
    """A number such as 1,234.50 with the marks of the active language: 1.234,50 in German."""
    marks = {".": formats.get_format("DECIMAL_SEPARATOR"), ",": formats.get_format("THOUSAND_SEPARATOR")}
    return text.translate(str.maketrans(marks))
