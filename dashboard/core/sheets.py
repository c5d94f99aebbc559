"""Lines of CSV files that spreadsheets open as what they are."""

import csv
import io
from collections.abc import Iterable

from common import money


def line(values: Iterable[object]) -> str:
    """One line, with its end."""
    out = io.StringIO()
    csv.writer(out).writerow([plain(value) if isinstance(value, str) else value for value in values])
    return out.getvalue()


def plain(text: str) -> str:
    """Text that a spreadsheet will not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _is_number(text) else text


def credits(micro: int) -> str:
    """Micro-credits in credits with all decimals and no grouping."""
    return money.format_credits(micro).replace(",", "")


def _is_number(text: str) -> bool:
    return text[1:].replace(".", "", 1).isdigit()
