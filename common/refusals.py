"""Refusals in the words of the page: title and detail of an AppError in the reader's language."""

from django.utils.translation import gettext

from common.errors import AppError
from common.words import Said


def told(error: AppError) -> str:
    """What is impossible, and why."""
    return f"{translated(error.title)}: {translated(error.detail)}"


def translated(words: str) -> str:
    """English words of a refusal in the active language, values and all; other text as it is."""
    if not isinstance(words, Said):
        return str(words)
    values = {name: translated(value) if isinstance(value, str) else value for name, value in words.values.items()}
    return gettext(words.template) % values if values else gettext(words.template)
