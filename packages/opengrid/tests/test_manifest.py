"""Model manifests: signed text in, typed manifest out, and nothing in between is negotiable."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opengrid import canonical, digests, keys, manifest, npy

PUBLISHER, OTHER = keys.PrivateKey.generate(), keys.PrivateKey.generate()


def document(**changes: Any) -> dict[str, Any]:
    return {
        "format": "opengrid-model-v1",
        "name": "digits-mlp",
        "version": "1.0.0",
        "task": "classification",
        "files": [
            {
                "name": "model.onnx",
                "digest": digests.of_bytes(b"weights"),
                "size_bytes": 7,
                "kind": "onnx",
            }
        ],
        "inputs": [{"name": "X", "dtype": "float32", "shape": [-1, 64]}],
        "outputs": [
            {"name": "label", "dtype": "int64", "shape": [-1]},
            {"name": "probabilities", "dtype": "float32", "shape": [-1, 10]},
        ],
        "licence": "CC-BY-4.0",
        "royalty_micro_per_task": 1500,
        "created_at": "2026-11-21T12:00:00.000000Z",
        "publisher_key": PUBLISHER.public_text,
        **changes,
    }


def file(**changes: Any) -> dict[str, Any]:
    return {**document()["files"][0], **changes}


def text_of(value: Any) -> str:
    return canonical.canonical_bytes(value).decode()


def code_of(text: str) -> str:
    with pytest.raises(manifest.ManifestRefused) as refused:
        manifest.parse_manifest(text)
    return refused.value.code


def test_a_signed_manifest_is_verified_and_read() -> None:
    made = manifest.parse_manifest(text_of(document()))

    text, signature = manifest.sign_manifest(PUBLISHER, made)
    found = manifest.verify_manifest(text, signature, PUBLISHER.public_text)

    assert found == made
    assert text == text_of(document())
    assert found.files[0].kind is manifest.FileKind.ONNX
    assert found.outputs[1].shape == (-1, 10)


@given(st.data())
def test_a_changed_text_is_refused(data: st.DataObject) -> None:
    text, signature = manifest.sign_manifest(PUBLISHER, manifest.Manifest.model_validate_json(
        text_of(document())
    ))  # fmt: skip
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda c: c != text[place]))

    with pytest.raises(keys.BadSignature):
        manifest.verify_manifest(text[:place] + letter + text[place + 1 :], signature, PUBLISHER.public_text)


def test_a_signature_of_another_key_or_purpose_is_refused() -> None:
    text = text_of(document())
    good = keys.sign_document(PUBLISHER, keys.MODEL_MANIFEST, document())

    for public, signature in (
        (OTHER.public_text, good),
        (PUBLISHER.public_text, keys.sign_document(OTHER, keys.MODEL_MANIFEST, document())),
        (PUBLISHER.public_text, keys.sign_document(PUBLISHER, keys.RECEIPT, document())),
    ):
        with pytest.raises(keys.BadSignature):
            manifest.verify_manifest(text, signature, public)


def test_a_manifest_of_somebody_else_is_refused_even_when_well_signed() -> None:
    text = text_of(document())
    stolen = keys.sign_document(OTHER, keys.MODEL_MANIFEST, document())

    with pytest.raises(manifest.ManifestRefused) as refused:
        manifest.verify_manifest(text, stolen, OTHER.public_text)
    assert refused.value.code == "manifest_publisher"
    with pytest.raises(manifest.ManifestRefused):
        manifest.sign_manifest(OTHER, manifest.parse_manifest(text))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(document()),
        text_of(document()) + "\n",
        text_of(document()).replace('"task"', '"\\u0074ask"'),
        text_of(document())[:-1] + ',"version":"1.0.0"}',
        text_of(document()).replace("1500", "1500.0"),
        "",
        "\udcff",
        "[" * 100_000,
    ],
    ids=range(8),
)
def test_text_that_is_not_canonical_is_refused(text: str) -> None:
    assert code_of(text) == "manifest_not_canonical"


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "opengrid-model-v2"},
        {"extra": 1},
        {"name": "Digits"},
        {"name": "../digits"},
        {"name": "a" * 64},
        {"name": "a\n"},
        {"version": "1.0"},
        {"version": "01.0.0"},
        {"version": "1.0.0+build"},
        {"version": "v1.0.0"},
        {"version": "1.0.0\n"},
        {"version": 1},
        {"task": ""},
        {"files": []},
        {"files": [file()] * 2},
        {"files": [file(), file(name="MODEL.onnx")]},
        {"files": [file(name="model.safetensors")]},
        {"files": [file(name="model.pkl")]},
        {"files": [file(kind="pickle", name="model.pickle")]},
        {"files": [file(name="../model.onnx")]},
        {"files": [file(name="a/model.onnx")]},
        {"files": [file(name=".onnx")]},
        {"files": [file(digest="sha256:" + "A" * 64)]},
        {"files": [file(digest="md5:" + "a" * 32)]},
        {"files": [file(size_bytes=0)]},
        {"files": [file(size_bytes="7")]},
        {"files": [file(size_bytes=True)]},
        {"files": {"name": "model.onnx"}},
        {"inputs": []},
        {"outputs": []},
        {"inputs": [{"name": "X", "dtype": "float32", "shape": [0, 64]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "shape": [-2, 64]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "shape": [-1] * 9}]},
        {"inputs": [{"name": "X", "dtype": "object", "shape": [-1]}]},
        {"inputs": [{"name": "X", "dtype": "float32", "shape": [-1]}] * 2},
        {"inputs": [{"name": "X\x00", "dtype": "float32", "shape": [-1]}]},
        {"licence": ""},
        {"licence": "MIT; rm"},
        {"royalty_micro_per_task": -1},
        {"royalty_micro_per_task": 2**53 + 1},
        {"royalty_micro_per_task": None},
        {"created_at": "2026-11-21"},
        {"created_at": "2026-13-21T12:00:00.000000Z"},
        {"created_at": "2026-11-21T12:00:00.000000+00:00"},
        {"publisher_key": "ed25519:short"},
    ],
    ids=str,
)
def test_a_manifest_outside_the_schema_is_refused(changes: dict[str, Any]) -> None:
    assert code_of(text_of(document(**changes))) == "manifest_invalid"


@pytest.mark.parametrize("missing", [name for name in document() if name != "format"])
def test_every_field_is_required(missing: str) -> None:
    rest = {name: value for name, value in document().items() if name != missing}

    assert code_of(text_of(rest)) == "manifest_invalid"


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0 OR MIT", "(MIT AND CC0-1.0)", "LicenseRef-x"])
def test_spdx_expressions_are_accepted_as_text(licence: str) -> None:
    assert manifest.parse_manifest(text_of(document(licence=licence))).licence == licence


def test_a_huge_text_is_refused_before_it_is_parsed() -> None:
    assert code_of(text_of(document(extra="x" * manifest.MAX_TEXT_BYTES))) == "manifest_too_large"


def test_every_element_type_of_a_manifest_has_a_file_format() -> None:
    for dtype in npy.DTYPES.values():
        inputs = [{"name": "X", "dtype": dtype, "shape": [-1]}]
        assert manifest.parse_manifest(text_of(document(inputs=inputs))).inputs[0].dtype == dtype
