"""The German catalogue, read with gettext's own tools."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from django.conf import settings

FOLDER = Path("locale/de/LC_MESSAGES")
LEFT_OUT = (".*", "run", "tests", "packages", "static", "docs", "node_modules", "__pycache__")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|%n|<[^>]+>")


def gettext(*command: object) -> str:
    """What one of gettext's programs prints."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def entries(path: Path) -> list[str]:
    """The messages of a .po or .pot file, each as its block of lines, without the header."""
    text = gettext("msgcat", "--no-wrap", "--sort-output", "--no-location", path)
    return [block for block in text.strip().split("\n\n") if 'msgid ""\nmsgstr ""\n"' not in block]


def made_again(into: Path) -> Path:
    """The catalogue as makemessages leaves it, in a copy of the source."""
    copy = into / "source"
    shutil.copytree(settings.BASE_DIR, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    command = [sys.executable, "manage.py", "makemessages", "-l", "de", "--no-location", "--no-obsolete"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    return copy / FOLDER / "django.po"


def pairs() -> list[tuple[str, str]]:
    """(English, German) of every message; both forms of a plural."""
    found = []
    for block in entries(settings.BASE_DIR / FOLDER / "django.po"):
        said = {name: _text(lines) for name, lines in _FIELD.findall(block)}
        for name in said:
            if name.startswith("msgstr"):
                english = said["msgid_plural"] if name == "msgstr[1]" else said["msgid"]
                found.append((english, said[name]))
    return found


_FIELD = re.compile(r'^(msg\w+(?:\[\d\])?) ((?:".*"\n?)+)', re.MULTILINE)


def _text(lines: str) -> str:
    return "".join(line[1:-1] for line in lines.splitlines()).replace(r"\"", '"').replace(r"\n", "\n")
