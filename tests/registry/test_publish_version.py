"""A version is what its publisher signed, with files that are what they claim to be."""

import dataclasses
import pickle

import pytest

from common.errors import NotFound
from opengrid import digests, keys, manifest
from registry import queries, services
from registry.models import Model, ModelFile, ModelVersion
from registry.services.files import PickleRefused, TensorsDiffer
from tests.registry import models


def refused(error, act):
    with pytest.raises(error) as caught:
        act()
    assert not ModelVersion.objects.exists()
    assert not ModelFile.objects.exists()
    assert not Model.objects.exists()
    return caught.value


def test_a_published_version_is_whole(publisher, alice, now):
    files = {"model.onnx": models.linear(), "extra.safetensors": models.safetensors()}

    version = publisher.publish(files)

    assert (version.model.name, version.version, version.model.publisher) == ("digits", "1.0.0", alice)
    assert (version.royalty_micro, version.published_at) == (models.ROYALTY_MICRO, now)
    assert version.manifest_digest == digests.of_bytes(version.manifest.encode())
    assert {file.name: file.blob.digest for file in version.files.select_related("blob")} == {
        name: digests.of_bytes(data) for name, data in files.items()
    }


def test_a_node_can_check_what_it_is_given(publisher):
    ref = queries.model_ref(publisher.publish())

    checked = manifest.verify_manifest(ref.manifest, ref.signature, ref.publisher_key)

    assert checked.name == "digits"


def test_the_same_manifest_twice_is_one_version(publisher):
    assert publisher.publish() == publisher.publish()

    assert ModelVersion.objects.count() == 1


def test_a_version_never_changes(publisher):
    publisher.publish()

    with pytest.raises(services.VersionExists):
        publisher.publish(royalty_micro_per_task=0)

    assert ModelVersion.objects.get().royalty_micro == models.ROYALTY_MICRO


def test_the_next_version_stands_beside_the_first(publisher):
    first = publisher.publish()

    second = publisher.publish(version="1.1.0")

    assert first.model == second.model


def test_a_name_belongs_to_its_first_publisher_in_the_cooperative(publisher, bob, charlie, now):
    publisher.publish()

    with pytest.raises(services.ModelNameTaken):
        models.Publisher(bob, now).publish(version="2.0.0")
    elsewhere = models.Publisher(charlie, now).publish()

    assert ModelVersion.objects.count() == 2
    assert elsewhere.model.cooperative == charlie.cooperative


def test_a_swapped_digest_breaks_the_signature(publisher):
    good, evil = models.linear(), models.linear(opset=20)
    publisher.store(good)
    publisher.store(evil)
    text, signature = publisher.sign({"model.onnx": good})
    forged = text.replace(digests.of_bytes(good), digests.of_bytes(evil))

    error = refused(services.ManifestRefused, lambda: publish(publisher, forged, signature))

    assert error.code == "bad_signature"


def publish(publisher, text, signature):
    return services.publish_version(
        membership=publisher.membership, manifest=text, signature=signature, now=publisher.now
    )


def test_a_signature_by_another_key_is_refused(publisher):
    data = models.linear()
    publisher.store(data)
    text, _ = publisher.sign({"model.onnx": data})
    stranger = keys.PrivateKey.generate()
    for signature in (keys.sign_document(stranger, keys.MODEL_MANIFEST, text.encode()), "A" * 86):
        refused(services.ManifestRefused, lambda signature=signature: publish(publisher, text, signature))


def test_a_key_that_was_not_registered_or_was_revoked_publishes_nothing(publisher, bob, now):
    data = models.linear()
    publisher.store(data)
    text, signature = publisher.sign({"model.onnx": data})

    refused(
        services.PublisherKeyUnknown,
        lambda: services.publish_version(membership=bob, manifest=text, signature=signature, now=now),
    )
    services.revoke_publisher_key(membership=publisher.membership, public_key=publisher.private.public_text, now=now)
    refused(services.PublisherKeyUnknown, lambda: publish(publisher, text, signature))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: text.replace(":", ": ", 1), "manifest_not_canonical"),
        (lambda text: text[:-1] + ',"version":"1.0.0"}', "manifest_not_canonical"),
        (lambda text: text.replace("250", "NaN"), "manifest_not_canonical"),
        (lambda text: text.replace("250", "2.5"), "manifest_not_canonical"),
        (lambda text: text.replace('"1.0.0"', '"one"'), "manifest_invalid"),
        (lambda text: text.replace('"digits"', '"../digits"'), "manifest_invalid"),
        (lambda text: text.replace("model.onnx", "model.pkl"), "manifest_invalid"),
        (lambda text: text + " " * 300_000, "manifest_too_large"),
        (lambda text: "", "manifest_not_canonical"),
        (lambda text: "\ud800", "manifest_not_canonical"),
    ],
)
def test_a_crooked_manifest_is_refused_even_when_signed(publisher, change, code):
    data = models.linear()
    publisher.store(data)
    text = change(publisher.sign({"model.onnx": data})[0])
    signature = keys.sign_document(publisher.private, keys.MODEL_MANIFEST, text.encode("utf-8", "replace"))

    error = refused(services.ManifestRefused, lambda: publish(publisher, text, signature))

    assert error.code == code


def test_files_that_were_not_uploaded_are_named(publisher, bob):
    data = models.linear()
    services.store_blob(chunks=[data], limit_bytes=len(data), membership=bob)
    text, signature = publisher.sign({"model.onnx": data})

    error = refused(services.FilesMissing, lambda: publish(publisher, text, signature))

    assert error.extra == {"files": ["model.onnx"]}


def test_a_wrong_size_is_refused(publisher):
    data = models.linear()
    publisher.store(data)
    honest = publisher.manifest({"model.onnx": data})
    [file] = honest.files
    lying = honest.model_copy(update={"files": (file.model_copy(update={"size_bytes": len(data) + 1}),)})
    text, signature = manifest.sign_manifest(publisher.private, lying)

    refused(services.FilesMissing, lambda: publish(publisher, text, signature))


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_is_refused_by_name_whatever_it_is_called(publisher, name, protocol):
    data = pickle.dumps({"w": [1, 2, 3]}, protocol=protocol)

    error = refused(PickleRefused, lambda: publisher.publish({name: data}))

    assert error.code == "pickle_refused"
    assert "pickle" in error.detail


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.onnx", models.safetensors()),
        ("model.safetensors", models.linear()),
        ("model.onnx", b"just some text that is no model"),
        ("model.onnx", models.linear()[:-5]),
        ("model.safetensors", models.safetensors()[:-1]),
        ("model.safetensors", (2**63).to_bytes(8, "little") + b"{}"),
        ("model.onnx", models.linear(change=models.external_data)),
        ("model.onnx", models.linear(domains=["com.evil"])),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_refused(publisher, name, data):
    refused(services.FileRefused, lambda: publisher.publish({name: data}))


def test_a_safetensors_file_whose_length_looks_like_a_pickle_is_accepted(publisher):
    header = models.safetensors()[8:-16]
    data = models.safetensors(header=header + b" " * (0x0280 - len(header)))
    assert data.startswith(b"\x80\x02")

    assert publisher.publish({"model.safetensors": data}).pk


def test_two_graphs_in_one_version_are_refused(publisher):
    files = {"a.onnx": models.linear(), "b.onnx": models.linear(opset=20)}

    refused(services.FileRefused, lambda: publisher.publish(files))


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": (manifest.Tensor(name="z", dtype="float32", shape=(-1, 4)),)},
        {"inputs": (manifest.Tensor(name="x", dtype="float64", shape=(-1, 4)),)},
        {"inputs": (manifest.Tensor(name="x", dtype="float32", shape=(1, 4)),)},
        {"inputs": models.INPUTS + models.OUTPUTS},
        {"outputs": (manifest.Tensor(name="y", dtype="float32", shape=(-1, 3)),)},
        {"outputs": (manifest.Tensor(name="y", dtype="float32", shape=(-1,)),)},
    ],
)
def test_a_manifest_that_describes_another_model_is_refused(publisher, changes):
    refused(TensorsDiffer, lambda: publisher.publish(**changes))


def test_an_unpublished_file_can_be_published_after_a_refusal(publisher):
    refused(TensorsDiffer, lambda: publisher.publish(inputs=models.OUTPUTS))

    assert publisher.publish().pk


def test_a_withdrawn_version_runs_no_new_job_and_stays_readable(publisher, alice, now):
    version = publisher.publish()
    assert queries.runnable_version(alice.cooperative_id, version.pk) == version

    services.withdraw_version(by=alice, version=version, now=now)

    with pytest.raises(queries.VersionWithdrawn):
        queries.runnable_version(alice.cooperative_id, version.pk)
    kept = queries.version_of(alice.cooperative_id, version.pk)
    assert kept.withdrawn_at == now
    assert queries.model_ref(kept).manifest == version.manifest
    with pytest.raises(queries.VersionWithdrawn):
        publisher.publish()


def test_a_version_of_a_revoked_key_runs_no_new_job(publisher, alice, now):
    version = publisher.publish()

    services.revoke_publisher_key(membership=alice, public_key=publisher.private.public_text, now=now)

    with pytest.raises(queries.PublisherKeyRevoked):
        queries.runnable_version(alice.cooperative_id, version.pk)


def test_only_the_publisher_withdraws(publisher, bob, charlie, now):
    version = publisher.publish()

    with pytest.raises(services.NotYourModel):
        services.withdraw_version(by=bob, version=version, now=now)
    with pytest.raises(NotFound):
        services.withdraw_version(by=charlie, version=version, now=now)

    version.refresh_from_db()
    assert version.withdrawn_at is None


def test_another_cooperative_finds_no_such_version(publisher, charlie):
    version = publisher.publish()

    for query in (queries.version_of, queries.runnable_version):
        with pytest.raises(NotFound):
            query(charlie.cooperative_id, version.pk)


def test_facts_and_manifest_speak_the_same_types():
    assert dataclasses.is_dataclass(services.files.onnx_file.TensorFacts)
    assert set(services.files.onnx_file._DTYPES.values()) == set(manifest.DType.__args__)
