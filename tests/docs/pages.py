"""The pages of the documentation, and what can be asked of their text."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "packages/*/README.md") for path in ROOT.glob(pattern))
APPS = (
    "accounts", "common", "config", "dashboard", "ledger", "marketplace", "nodes", "registry", "reputation",
    "scheduler",
)  # fmt: skip
OUR_PACKAGES = (*APPS, "demo", "gridnode", "opengrid")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_NAME = re.compile(rf"`((?:{'|'.join(OUR_PACKAGES)})(?:\.[A-Za-z_][A-Za-z0-9_]*)+)`")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def title(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of a language."""
    return [content for found, content in _BLOCK.findall(text) if found == language]


def without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    return _LINK.findall(without_blocks(text))


def names(text: str) -> list[str]:
    """Dotted names of our own code, in backticks."""
    return _NAME.findall(without_blocks(text))


def anchors(text: str) -> set[str]:
    """What a link may name behind #: headings as code hosts spell them."""
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def sections(text: str, level: int = 3) -> dict[str, str]:
    """Heading of a level -> the text below it, up to the next heading of any level."""
    parts = re.split(r"^(#{1,6}) (.+)\n", without_blocks(text), flags=re.MULTILINE)
    return {
        heading: body.strip()
        for marks, heading, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
        if len(marks) == level
    }


def resolve(name: str) -> object:
    """What a dotted name is: a module, or an attribute of one. Raises: ImportError, AttributeError."""
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], start=1):
        if hasattr(found, "__path__") and not hasattr(found, part):
            found = importlib.import_module(".".join(parts[: index + 1]))
        else:
            found = getattr(found, part)
    return found
