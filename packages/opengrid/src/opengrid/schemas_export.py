"""Writes the JSON Schema of every message: `python -m opengrid.schemas_export [DIRECTORY]`.

The files in `schemas/` are part of the standard; a test keeps them equal to the types.
"""

import json
import re
import sys
from pathlib import Path
from typing import Final

from opengrid import manifest, messages

DIRECTORY: Final = Path(__file__).with_name("schemas")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def message_types() -> list[type[messages.Message]]:
    """Every message type of the standard, sorted by name."""
    found = {
        value
        for module in (messages, manifest)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, messages.Message) and value is not messages.Message
    }
    return sorted(found, key=lambda each: each.__name__)


def schema_texts() -> dict[str, str]:
    """File name and JSON text of every schema."""
    texts = {}
    for each in message_types():
        word = _WORD_START.sub("-", each.__name__).lower()
        schema = {
            "$schema": DIALECT,
            "$id": f"urn:opengrid:v{messages.PROTOCOL_VERSION}:{word}",
            **each.model_json_schema(),
        }
        texts[f"{word}.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return texts


def export(directory: Path) -> list[str]:
    """Write all schemas and remove those of types that are gone; return the file names."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = schema_texts()
    for stale in directory.glob("*.json"):
        if stale.name not in texts:
            stale.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    return sorted(texts)


if __name__ == "__main__":
    for written in export(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY):
        sys.stdout.write(f"{written}\n")
