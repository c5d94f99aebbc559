"""Models on pages: cards, one version, publishing with a signature made elsewhere, trying it."""

import re

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from dashboard.queries import models as reads
from opengrid import keys, npy
from opengrid import manifest as manifests
from registry import services as registry
from registry.core import publishers
from registry.models import Model, ModelVersion, PublisherKey
from scheduler.models import Job
from tests.dashboard import scenes
from tests.registry import models

pytestmark = pytest.mark.django_db


def more_models(publisher, now, count, first=1):
    """Versions of further models, signed with one key."""
    signer = models.Publisher(publisher, now)
    for number in range(first, first + count):
        signer.publish({"model.onnx": models.linear()}, name=f"model-{number:02}", task="sums")


def test_cards_say_what_a_model_does_costs_and_where_it_runs_now(client_of, grid, alice):
    registry.describe_model(by=grid.version.model.publisher, model=grid.version.model, summary="Reads digits.")

    text = client_of(alice).get(reverse("models")).text

    for words in ("digits", "Reads digits.", "1.0.0", "MIT", "0.00<small>0020</small>", "Runs now on 2 nodes"):
        assert words in text, words


def test_without_models_the_page_offers_the_one_next_act(client_of, alice, bob):
    text = client_of(alice).get(reverse("models")).text

    assert reverse("publish-model") in text
    assert "Publish the first model" in text


def test_models_are_found_by_word_kind_and_publisher(client_of, grid, alice, bob, now):
    more_models(alice, now, 2)
    client = client_of(alice)

    def names(**query):
        return [card.model.name for card in client.get(reverse("models"), query).context["cards"]]

    assert names() == ["digits", "model-01", "model-02"]
    assert names(sort="newest") == ["model-02", "model-01", "digits"]
    assert names(q="MODEL-02") == ["model-02"]
    assert names(q="bob") == ["digits"]
    assert names(task="sums") == ["model-01", "model-02"]
    assert names(mine="1") == ["model-01", "model-02"]
    assert names(q="nothing like it") == []
    assert "No model is like that." in client.get(reverse("models"), {"q": "nothing like it"}).text


@pytest.mark.parametrize("sort", reads.SORTS)
def test_more_models_are_on_the_next_page(client_of, alice, now, sort, monkeypatch):
    monkeypatch.setattr(reads, "PAGE_ROWS", 3)
    more_models(alice, now, 5)
    client = client_of(alice)

    first = client.get(reverse("models"), {"sort": sort})
    second = client.get(f"{reverse('models')}?{first.context['next']}")

    seen = [card.model.name for page in (first, second) for card in page.context["cards"]]
    assert seen == [f"model-{n:02}" for n in (range(1, 6) if sort == "name" else range(5, 0, -1))]
    assert second.context["next"] == ""


def test_the_list_takes_as_many_queries_however_many_models_there_are(
    client_of, grid, alice, now, django_assert_num_queries
):
    client = client_of(alice)
    client.get(reverse("models"))
    with django_assert_num_queries(14):
        client.get(reverse("models"))
    more_models(alice, now, 6)

    with django_assert_num_queries(14):
        client.get(reverse("models"))


def test_a_version_shows_what_was_signed_and_hides_its_use_from_others(client_of, grid, alice, bob):
    address = reverse("model-version", args=[grid.version.pk])

    text = client_of(alice).get(address).text

    for words in (grid.version.manifest_digest, grid.version.publisher_key.public_key, "4 numbers (x, float32)"):
        assert words in text, words
    assert "Use and revenue" not in text
    assert "Withdraw" not in text
    own = client_of(bob).get(address)
    assert own.context["use"].tasks == 1
    assert own.context["use"].royalty_micro == 20
    assert "Withdraw" in own.text


def test_models_of_another_cooperative_are_not_there(client_of, grid, charlie):
    assert client_of(charlie).get(reverse("model-version", args=[grid.version.pk])).status_code == 404
    assert "digits" not in client_of(charlie).get(reverse("models")).text
    assert client_of(charlie).post(reverse("withdraw-version", args=[grid.version.pk])).status_code == 404
    assert client_of(charlie).post(reverse("try-model", args=[grid.version.pk])).status_code == 404


def test_only_the_publisher_withdraws_or_describes(client_of, grid, alice, bob):
    address = reverse("withdraw-version", args=[grid.version.pk])

    refused = client_of(alice).post(address)
    described = client_of(alice).post(reverse("describe-model", args=[grid.version.pk]), {"summary": "Mine."})
    grid.version.refresh_from_db()
    assert (refused.status_code, described.status_code, grid.version.withdrawn_at) == (403, 403, None)

    client_of(bob).post(address)
    page = client_of(alice).get(reverse("model-version", args=[grid.version.pk])).text

    assert "no new job can use this version" in page
    assert "Run it" not in page


def register(client, member):
    """A key made elsewhere, registered with the proof that the page asks for."""
    private = keys.PrivateKey.generate()
    document = publishers.possession_document(private.public_text, member.pk)
    proof = keys.sign_document(private, publishers.CONTEXT, document)
    client.post(reverse("add-publisher-key"), {"public_key": private.public_text, "proof": proof})
    return private


def fields(private, **changes):
    wish = {
        "uploads": SimpleUploadedFile("linear.onnx", models.linear()),
        "name": "linear",
        "version": "1.0.0",
        "task": "regression",
        "summary": "Two sums.",
        "licence": "MIT",
        "royalty": "0.00025",
        "publisher_key": private.public_text,
    }
    return wish | changes


def test_a_model_is_published_by_upload_and_a_signature_made_elsewhere(client_of, alice):
    client = client_of(alice)
    private = register(client, alice)

    drafted = client.post(reverse("publish-model"), fields(private))
    text = drafted.context["text"]
    to_sign = client.post(reverse("model-to-sign"), {"manifest": text}).content
    assert to_sign == keys.signed_bytes(keys.MODEL_MANIFEST, text.encode())
    assert not Model.objects.exists()
    signature = keys._encode(private.sign(to_sign))
    answer = client.post(
        reverse("sign-model"), {"manifest": text, "summary": "Two sums.", "signature": f" {signature}\n"}
    )

    version = ModelVersion.objects.get()
    assert answer.url == reverse("model-version", args=[version.pk])
    assert (version.model.name, version.model.summary, version.royalty_micro) == ("linear", "Two sums.", 250)
    assert manifests.parse_manifest(version.manifest).inputs == models.INPUTS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"uploads": SimpleUploadedFile("model.pt", b"PK\x03\x04 not a model")}, "uploads"),
        ({"uploads": SimpleUploadedFile("model.onnx", b"\x80\x04 a pickle")}, "uploads"),
        ({"name": "With Spaces"}, "name"),
        ({"version": "one"}, "version"),
        ({"task": "Two words"}, "task"),
        ({"licence": "?"}, "licence"),
        ({"royalty": "-1"}, "royalty"),
        ({"publisher_key": "ed25519:of-another"}, "publisher_key"),
        ({"uploads": SimpleUploadedFile("w.safetensors", models.safetensors())}, "inputs"),
        ({"inputs": "x float7 1"}, "inputs"),
    ],
)
def test_what_cannot_be_published_is_refused_at_its_field(client_of, alice, changes, field):
    client = client_of(alice)
    private = register(client, alice)

    answer = client.post(reverse("publish-model"), fields(private, **changes))

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Model.objects.exists()


def test_a_signature_that_does_not_verify_is_refused_at_its_field(client_of, alice):
    client = client_of(alice)
    private = register(client, alice)
    text = client.post(reverse("publish-model"), fields(private)).context["text"]
    other = keys.sign_document(keys.PrivateKey.generate(), keys.MODEL_MANIFEST, text.encode())

    answer = client.post(reverse("sign-model"), {"manifest": text, "signature": other})

    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["signature"]
    assert not ModelVersion.objects.exists()
    assert client.post(reverse("sign-model"), {"manifest": "{}", "signature": other}).url == reverse("publish-model")
    assert client.post(reverse("model-to-sign"), {"manifest": "{}"}).status_code == 422


def test_a_key_needs_its_proof_and_can_be_revoked(client_of, alice, bob):
    client = client_of(alice)
    private = register(client, alice)
    foreign = keys.PrivateKey.generate()
    document = publishers.possession_document(foreign.public_text, bob.pk)
    proof = keys.sign_document(foreign, publishers.CONTEXT, document)

    refused = client.post(reverse("add-publisher-key"), {"public_key": foreign.public_text, "proof": proof})
    client_of(bob).post(reverse("revoke-publisher-key"), {"public_key": private.public_text})

    key = PublisherKey.objects.get()
    assert (refused.status_code, key.public_key, key.revoked_at) == (422, private.public_text, None)
    client.post(reverse("revoke-publisher-key"), {"public_key": private.public_text})
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "First a key" in client.get(reverse("publish-model")).text


def try_with(client, grid, **wish):
    form = {"rows": "1, 2, 3, 4", "limit_price": "1", "key": "once"} | wish
    return client.post(reverse("try-model", args=[grid.version.pk]), form)


def test_trying_submits_one_real_task_and_shows_it_live(client_of, grid, alice):
    client = client_of(alice)

    answer = try_with(client, grid)
    again = try_with(client, grid)

    job = Job.objects.latest("pk")
    assert answer.url == again.url == f"{reverse('model-version', args=[grid.version.pk])}?try={job.pk}#try"
    assert (job.tasks_total, job.executions, job.model_version, job.submitter) == (1, 1, grid.version, alice)
    assert job.held_micro == 8_334 + 20
    page = client.get(answer.url).text
    assert f'id="job-state-{job.pk}"' in page
    assert f'id="job-outputs-{job.pk}"' in page


@pytest.mark.parametrize(
    ("wish", "field", "words"),
    [
        ({"rows": ""}, "rows", "found nothing"),
        ({"rows": "1, 2"}, "rows", "found 2 numbers in a row; the model takes 4"),
        ({"rows": "1, 2, x, 4\n1,2,3,4"}, "rows", "headings"),
        ({"rows": "[[1, 2, 3, null]]"}, "rows", "accepted are numbers"),
        ({"rows": "1,2,3,4\n1,2"}, "rows", "all must have the same, and one at least"),
        ({"file": SimpleUploadedFile("rows.npy", b"\x93NUMPY nonsense")}, "file", "rows.npy"),
        ({"limit_price": "much"}, "limit_price", "accepted is a number"),
    ],
)
def test_rows_that_do_not_fit_are_refused_at_their_field(client_of, grid, alice, wish, field, words):
    if words == "headings":
        answer = try_with(client_of(alice), grid, rows="a,b,c,d")
    else:
        answer = try_with(client_of(alice), grid, **wish)

    assert answer.status_code == 422
    assert words in str(answer.context["form"].errors[field])
    assert Job.objects.count() == 1


def test_a_file_of_rows_is_taken_as_it_stands(client_of, grid, alice):
    array = np.arange(8, dtype=np.int64).reshape(2, 4)

    answer = try_with(client_of(alice), grid, rows="", file=SimpleUploadedFile("rows.npy", npy.dump(array)))

    assert re.search(r"\?try=\d+#try$", answer.url)


def test_the_price_is_shown_before_anything_runs(client_of, grid, alice):
    address = reverse("try-price", args=[grid.version.pk])

    assert "0.00<small>8354</small>" in client_of(alice).get(address, {"limit_price": "1"}).text
    assert "limit price" in client_of(alice).get(address, {"limit_price": "?"}).text


def test_somebody_without_the_permission_reads_but_neither_publishes_nor_tries(client_of, grid, alice):
    alice.roles = ["AUDITOR"]
    alice.save()
    client = client_of(alice)

    assert client.get(reverse("models")).status_code == 200
    assert client.get(reverse("publish-model")).status_code == 403
    assert try_with(client, grid).status_code == 403
    assert "Run it" not in client.get(reverse("model-version", args=[grid.version.pk])).text


def test_a_try_of_somebody_else_is_not_shown(client_of, grid, alice, olga):
    address = f"{reverse('model-version', args=[grid.version.pk])}?try={grid.job.pk}"

    assert "job-state" in client_of(alice).get(address).text
    assert "job-state" not in client_of(olga).get(address).text


def test_scenes_publish_what_pages_can_read(grid):
    assert reads.refusal(manifests.parse_manifest(grid.version.manifest)) is None
    assert scenes.PRICE_MICRO
