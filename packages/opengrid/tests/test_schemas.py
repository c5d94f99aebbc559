"""The published JSON Schemas are those of the types, and the types accept what they write."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from opengrid import messages, schemas_export


def test_the_committed_schemas_are_current() -> None:
    committed = {
        path.name: path.read_text(encoding="utf-8")
        for path in schemas_export.DIRECTORY.iterdir()
        if path.name != "__pycache__"
    }

    assert committed == schemas_export.schema_texts(), (
        "run: python -m opengrid.schemas_export, from packages/opengrid/src"
    )


def test_the_export_writes_all_and_removes_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "stale.json").write_text("{}")

    names = schemas_export.export(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {"manifest.json", "join-request.json", "receipt.json", "job-spec.json"} <= set(names)


@pytest.mark.parametrize("each", schemas_export.message_types(), ids=lambda each: each.__name__)
def test_every_message_is_closed_strict_and_immutable(each: type[messages.Message]) -> None:
    schema = json.loads(schemas_export.schema_texts()[_file_of(each)])

    assert schema["additionalProperties"] is False
    assert schema["$schema"] == schemas_export.DIALECT
    assert each.model_config.get("strict") is True
    assert each.model_config.get("frozen") is True
    with pytest.raises(ValidationError):
        each.model_validate_json('{"no_such_field":1}')


def _file_of(each: type[messages.Message]) -> str:
    (name,) = [
        name for name, text in schemas_export.schema_texts().items() if json.loads(text)["title"] == each.__name__
    ]
    return name
