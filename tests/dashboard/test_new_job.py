"""Submitting a job from the page: the estimate while one types, the upload, refusals at their place."""

import io

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from nodes.models import Node
from registry.models import BlobGrant
from scheduler.models import Job
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


def an_upload(rows=20, name="scans.npy", body=None):
    if body is None:
        file = io.BytesIO()
        np.save(file, np.zeros((rows, 4), dtype=np.float32))
        body = file.getvalue()
    return SimpleUploadedFile(name, body)


def a_wish(grid, **changes):
    return {
        "name": "my scans",
        "model_version": grid.version.pk,
        "rows_per_task": "6",
        "limit_price": "1.00",
        "assurance": "quorum-2",
        "max_seconds": "60",
        "max_parallel": "4",
        "key": "form-1",
    } | changes


def test_the_estimate_says_tasks_runs_and_hold_and_shows_the_request(client_of, grid, alice):
    wish = a_wish(grid, rows="20", file_name="scans.npy", size_bytes="448")

    text = client_of(alice).get(reverse("job-estimate"), wish).text

    assert '<dd class="num">4</dd>' in text
    assert '<dd class="num">8</dd>' in text
    # 4 tasks x (2 executions x 60 s at 1.00 per hour, each rounded up to 0.016667 + 0.000020 royalty)
    assert "0.13<small>3416</small>" in text
    assert "&quot;limit_price_micro&quot;: 1000000" in text
    assert "curl -X POST http://testserver/api/v1/jobs" in text


def test_an_estimate_without_a_file_asks_for_one(client_of, grid, alice):
    text = client_of(alice).get(reverse("job-estimate"), a_wish(grid)).text

    assert "Choose a file to see tasks and hold." in text


def test_posting_the_form_submits_the_job_and_holds_the_worst_case(client_of, grid, alice):
    client = client_of(alice)
    before = Job.objects.count()

    answer = client.post(reverse("new-job"), a_wish(grid, input=an_upload()))

    job = Job.objects.order_by("-pk").first()
    assert Job.objects.count() == before + 1
    assert answer.url == reverse("job", args=[job.pk])
    assert (job.name, job.tasks_total, job.assurance, job.held_micro) == ("my scans", 4, "quorum-2", 133_416)
    assert job.spec["inputs"][0]["name"] == "scans.npy"


def test_the_same_form_sent_twice_submits_one_job(client_of, grid, alice):
    client = client_of(alice)
    before = Job.objects.count()

    first = client.post(reverse("new-job"), a_wish(grid, input=an_upload()))
    second = client.post(reverse("new-job"), a_wish(grid, input=an_upload()))

    assert first.url == second.url
    assert Job.objects.count() == before + 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit_price": "cheap"}, "accepted is a number with at most six decimals, such as 0.80"),
        ({"rows_per_task": "0"}, "greater than or equal to 1"),
        ({"assurance": "quorum-9"}, "not one of the available choices"),
        ({"max_parallel": ""}, "required"),
    ],
)
def test_what_cannot_be_accepted_is_said_at_its_field_and_stores_nothing(client_of, grid, alice, changes, words):
    grants, jobs = BlobGrant.objects.count(), Job.objects.count()

    answer = client_of(alice).post(reverse("new-job"), a_wish(grid, input=an_upload(), **changes))

    assert answer.status_code == 422
    assert words in answer.text
    assert (BlobGrant.objects.count(), Job.objects.count()) == (grants, jobs)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input": an_upload(body=b"not an array")}, "does not start as a .npy file"),
        ({"limit_price": "900000"}, "needed"),
    ],
)
def test_what_the_service_refuses_is_said_above_the_form(client_of, grid, alice, changes, words):
    jobs = Job.objects.count()

    answer = client_of(alice).post(reverse("new-job"), a_wish(grid) | {"input": an_upload()} | changes)

    assert answer.status_code == 422
    assert words in answer.text
    assert Job.objects.count() == jobs


def test_a_job_that_no_node_could_run_is_refused_with_the_constraint(client_of, grid, alice):
    Node.objects.filter(pk=grid.attic.pk).update(state=Node.State.RETIRED)

    answer = client_of(alice).post(reverse("new-job"), a_wish(grid, input=an_upload()))

    assert answer.status_code == 422
    assert "different owners" in answer.text


def test_an_auditor_submits_no_job(client_of, grid, cooperative):
    from accounts.models import Membership, User

    user = User.objects.create_user("ada@example.org", "correct horse battery")
    auditor = Membership.objects.create(cooperative=cooperative, user=user, roles=["AUDITOR"])

    assert client_of(auditor).get(reverse("new-job")).status_code == 403
    assert client_of(auditor).post(reverse("new-job"), a_wish(grid)).status_code == 403


def test_a_version_of_another_cooperative_cannot_be_chosen(client_of, grid, alice, charlie, now):
    foreign = scenes.a_model_version(charlie, now, name="secret")

    page = client_of(alice).get(reverse("new-job")).text
    answer = client_of(alice).post(reverse("new-job"), a_wish(grid, input=an_upload(), model_version=foreign.pk))

    assert "secret" not in page
    assert answer.status_code == 422
