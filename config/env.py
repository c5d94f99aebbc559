"""Readers of environment variables: typed, and loud about nonsense.

Every reader names the variable, what was found and what would be accepted. An empty value counts
as "not set", so `NAME= command` switches a setting back to its default.
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


class ConfigurationError(ImproperlyConfigured):
    """A setting is missing, malformed or would lose money or trust."""


def _read(name: str) -> str | None:
    value = os.environ.get(name, "").strip()
    return value or None


def env_str(name: str, default: str | None = None) -> str:
    """Return the text of `name`. Raises: ConfigurationError when unset and without default."""
    value = _read(name)
    if value is not None:
        return value
    if default is None:
        raise ConfigurationError(f"{name} is not set; it needs a value.")
    return default


def env_bool(name: str, default: bool) -> bool:
    """Return a yes/no setting. Raises: ConfigurationError for a word that is neither."""
    value = _read(name)
    if value is None:
        return default
    word = value.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ConfigurationError(f"{name}={value!r} is not a yes/no value; accepted: 1, 0, true, false, yes, no, on, off.")


def env_int(name: str, default: int, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return a whole number. Raises: ConfigurationError for anything else or out of bounds."""
    value = _read(name)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ConfigurationError(f"{name}={value!r} is not a whole number.") from None
    if minimum is not None and number < minimum:
        raise ConfigurationError(f"{name}={number} is too small; the least accepted is {minimum}.")
    if maximum is not None and number > maximum:
        raise ConfigurationError(f"{name}={number} is too large; the most accepted is {maximum}.")
    return number


def env_list(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return a comma separated list without empty items, or the default."""
    value = _read(name)
    if value is None:
        return list(default)
    return [item.strip() for item in value.split(",") if item.strip()]


def env_secret(name: str, default: str | None = None) -> str:
    """Return a secret from `NAME`, or from the file that `NAME_FILE` points to.

    Raises: ConfigurationError when both are set, the file cannot be read or is empty, or nothing is
    set and there is no default.
    """
    value, file_name = _read(name), _read(f"{name}_FILE")
    if value is not None and file_name is not None:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; set one of them.")
    if file_name is None:
        return env_str(name, default)
    try:
        text = Path(file_name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{name}_FILE={file_name!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name}_FILE={file_name!r} is not UTF-8 text.") from error
    if not text:
        raise ConfigurationError(f"{name}_FILE={file_name!r} is empty; it must hold the secret.")
    return text
