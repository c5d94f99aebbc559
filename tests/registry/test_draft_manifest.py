"""What a publisher says about uploaded files becomes the canonical text to sign, or a refusal that names the part."""

import dataclasses
import pickle

import pytest

from common.errors import Forbidden
from opengrid import manifest
from registry import services
from registry.models import Model, ModelVersion
from registry.services.files import PickleRefused
from tests.registry import models


def draft(publisher, *uploads, **changes):
    wish = services.Draft(
        name="linear",
        version="1.0.0",
        task="regression",
        licence="MIT",
        royalty_micro=10,
        publisher_key=publisher.private.public_text,
    )
    return services.draft_manifest(
        membership=publisher.membership,
        draft=dataclasses.replace(wish, **changes),
        uploads=[services.Upload(name, [data]) for name, data in uploads or [("linear.onnx", models.linear())]],
        now=publisher.now,
    )


def test_the_text_says_what_the_graph_takes_and_gives_and_publishes_as_it_stands(publisher, alice, now):
    text = draft(publisher)

    parsed = manifest.parse_manifest(text)
    assert (parsed.inputs, parsed.outputs) == (models.INPUTS, models.OUTPUTS)
    assert not Model.objects.exists()
    _, signature = manifest.sign_manifest(publisher.private, parsed)
    version = services.publish_version(
        membership=alice, manifest=text, signature=signature, now=now, summary="  Two\nsums. "
    )
    assert version.manifest == text
    assert version.model.summary == "Two sums."


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "No Spaces"}, "name"),
        ({"version": "1"}, "version"),
        ({"licence": "\x00"}, "licence"),
        ({"royalty_micro": -1}, "royalty_micro_per_task"),
        ({"publisher_key": "ed25519:short"}, "publisher_key"),
    ],
)
def test_a_part_that_cannot_be_is_named(publisher, changes, field):
    with pytest.raises(services.DraftIncomplete) as refused:
        draft(publisher, **changes)

    assert refused.value.field == field
    assert refused.value.code == "manifest_invalid"


@pytest.mark.parametrize(
    "upload", [("weights.pt", b"PK\x03\x04"), ("bad name!.onnx", models.linear()), ("empty.onnx", b"")]
)
def test_a_file_of_another_kind_or_name_is_refused_at_the_files(publisher, upload):
    with pytest.raises(services.DraftIncomplete) as refused:
        draft(publisher, upload)

    assert refused.value.field == "files"


def test_a_pickle_is_refused_by_name(publisher):
    with pytest.raises(PickleRefused):
        draft(publisher, ("model.onnx", pickle.dumps({"a": 1})))

    with pytest.raises(services.FileRefused, match="onnx"):
        draft(publisher, ("model.onnx", b"no graph at all"))


def test_weights_without_a_graph_need_words_about_what_they_take(publisher):
    weights = ("w.safetensors", models.safetensors())

    with pytest.raises(services.DraftIncomplete) as refused:
        draft(publisher, weights)
    text = draft(publisher, weights, inputs=models.INPUTS, outputs=models.OUTPUTS)

    assert refused.value.field == "inputs"
    assert manifest.parse_manifest(text).inputs == models.INPUTS


def test_somebody_who_may_not_publish_drafts_nothing(publisher, alice):
    alice.roles = ["AUDITOR"]
    alice.save()

    with pytest.raises(Forbidden):
        draft(publisher)


def test_the_summary_is_the_publisher_s_to_change(publisher, alice, bob, charlie):
    version = publisher.publish()

    services.describe_model(by=alice, model=version.model, summary="Sorts digits.")

    version.model.refresh_from_db()
    assert version.model.summary == "Sorts digits."
    with pytest.raises(services.NotYourModel):
        services.describe_model(by=bob, model=version.model, summary="Mine.")
    with pytest.raises(Exception, match="no model"):
        services.describe_model(by=charlie, model=version.model, summary="Mine.")
    with pytest.raises(services.SummaryTooLong):
        services.describe_model(by=alice, model=version.model, summary="x" * 301)
    version.model.refresh_from_db()
    assert version.model.summary == "Sorts digits."


def test_a_summary_that_is_too_long_publishes_nothing(publisher, alice, now):
    text = draft(publisher)
    _, signature = manifest.sign_manifest(publisher.private, manifest.parse_manifest(text))

    with pytest.raises(services.SummaryTooLong):
        services.publish_version(membership=alice, manifest=text, signature=signature, now=now, summary="x" * 301)

    assert not ModelVersion.objects.exists()
