"""A job's page: its tasks one by one, previews, everything in one download, receipts that can be checked."""

import io
import json
import zipfile

import numpy as np
import pytest
from django.urls import reverse

from common import clock
from dashboard.queries import jobs, results
from dashboard.queries.viewer import Viewer
from nodes.models import Node
from opengrid import keys, npy
from registry import services as registry
from scheduler import queries as scheduler
from scheduler.models import Attempt, AttemptOutput, Task
from tests.dashboard import scenes

pytestmark = pytest.mark.django_db


def an_output(grid, name, body):
    blob = registry.store_blob(chunks=[body], limit_bytes=1 << 20, membership=None)
    return AttemptOutput.objects.create(attempt=grid.accepted[0], name=name, blob=blob)


def of(grid, name, output):
    return reverse(name, args=[grid.job.pk, output.pk])


def sign(attempt):
    """A receipt as the node would sign it."""
    private = keys.PrivateKey.generate()
    Node.objects.filter(pk=attempt.node_id).update(public_key=private.public_text)
    receipt = {
        "attempt_id": attempt.pk,
        "token": attempt.token,
        "input_digests": [attempt.task.input.digest],
        "outputs": [{"name": file.name, "digest": file.blob.digest} for file in attempt.outputs.all()],
        "finished_at": "2026-11-21T12:00:00.000000Z",
    }
    signature = keys.sign_document(private, keys.RECEIPT, receipt)
    Attempt.objects.filter(pk=attempt.pk).update(receipt=receipt, receipt_signature=signature)
    return receipt


def checked(grid, alice):
    return results.check_receipt(Viewer(alice, clock.database_now()), grid.job.pk, grid.accepted[0].pk)


def test_each_task_has_the_letter_of_what_it_is_doing(grid, alice, now):
    third, fourth = grid.job.tasks.order_by("index")[2:]
    scenes.an_attempt(third, grid.shed, grid.leases[0], now, state="SUBMITTED", labels=[1])
    Task.objects.filter(pk=fourth.pk).update(state="FAILED", open_executions=0)

    assert scheduler.task_states(grid.job) == "arcf"
    progress = jobs.progress(Viewer(alice, now), grid.job)
    assert progress.cells == "arcf"
    assert dict(progress.legend) == {"ACCEPTED": 1, "RUNNING": 1, "CHECKING": 1, "FAILED": 1}


def test_a_task_that_runs_a_second_time_beside_a_result_is_running(grid, now):
    third = grid.job.tasks.get(index=2)
    scenes.an_attempt(third, grid.attic, grid.leases[1], now)
    scenes.an_attempt(third, grid.shed, grid.leases[0], now, state="SUBMITTED", labels=[1])

    assert scheduler.task_states(grid.job)[2] == "r"


def test_a_job_that_is_not_split_yet_has_no_cells(grid, alice, now):
    job = scenes.a_job(alice, now, version=grid.version, tasks=1, state="SUBMITTED", name="new")
    job.tasks.all().delete()

    assert scheduler.task_states(job) == ""
    assert jobs.progress(Viewer(alice, now), job).cells == ""


def test_the_strip_of_ten_thousand_tasks_is_read_with_two_queries(grid, alice, now, django_assert_num_queries):
    job = scenes.a_job(alice, now, version=grid.version, tasks=1, name="large")
    first = job.tasks.get()
    Task.objects.bulk_create(
        [
            Task(job=job, index=index, input=first.input, input_name="x", wanted_results=1, open_executions=1,
                 bought_left=1, max_claims=3)
            for index in range(1, 10_000)
        ]
    )  # fmt: skip

    with django_assert_num_queries(2):
        assert scheduler.task_states(job) == "w" * 10_000


def test_a_task_says_who_tried_it(client_of, grid, alice, olga):
    address = reverse("job-task", args=[grid.job.pk, 0])

    text = client_of(alice).get(address).text

    assert "Task 0" in text
    assert "shed" in text
    assert "attic" in text
    assert client_of(olga).get(address).status_code == 404
    assert client_of(alice).get(reverse("job-task", args=[grid.job.pk, 4])).status_code == 404


def test_a_preview_is_a_part_of_the_page_or_a_page(client_of, grid, alice, olga):
    output = an_output(grid, "table.npy", npy.dump(np.asarray([[7, 8]], dtype=np.int64)))
    address = of(grid, "job-preview", output)

    part = client_of(alice).get(address, headers={"HX-Request": "true"}).text

    assert "int64 1 × 2" in part
    assert "<html" not in part
    assert "<html" in client_of(alice).get(address).text
    assert client_of(olga).get(address).status_code == 404


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "data.json", "table.csv"])
def test_a_preview_never_lets_a_result_speak_html(client_of, grid, alice, name):
    output = an_output(grid, name, b'<script>alert("x")</script>')

    text = client_of(alice).get(of(grid, "job-preview", output), headers={"HX-Request": "true"}).text

    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


def test_an_image_is_served_under_its_own_type_and_nothing_else_is(client_of, grid, alice, olga):
    png = an_output(grid, "plot.png", b"\x89PNG\r\n\x1a\n" + bytes(30))
    fake = an_output(grid, "fake.png", b"<svg onload=alert(1)>")

    answer = client_of(alice).get(of(grid, "job-image", png))

    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert client_of(alice).get(of(grid, "job-image", fake)).status_code == 404
    assert client_of(olga).get(of(grid, "job-image", png)).status_code == 404


def test_all_results_come_as_one_zip(client_of, grid, alice, olga):
    big = bytes(range(256)) * 3000
    an_output(grid, "big.bin", big)
    address = reverse("job-archive", args=[grid.job.pk])

    answer = client_of(alice).get(address)
    parts = list(answer.streaming_content)
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as zipped:
        assert zipped.testzip() is None
        assert zipped.namelist() == ["task-00000/big.bin", "task-00000/labels.npy"]
        assert zipped.read("task-00000/big.bin") == big

    assert answer["Content-Disposition"] == f'attachment; filename="job-{grid.job.pk}.zip"'
    assert max(map(len, parts)) < 400_000
    assert client_of(olga).get(address).status_code == 404


def test_a_job_without_results_has_no_zip(client_of, grid, alice, now):
    job = scenes.a_job(alice, now, version=grid.version, name="empty")

    assert client_of(alice).get(reverse("job-archive", args=[job.pk])).status_code == 404


def test_a_receipt_that_is_right_verifies(client_of, grid, alice, olga):
    sign(grid.accepted[0])

    found = checked(grid, alice)

    assert found.is_good
    assert [(name, matches) for name, _, matches in found.files] == [("labels.npy", True)]
    address = reverse("verify-receipt", args=[grid.job.pk, grid.accepted[0].pk])
    assert "Checked by the server." in client_of(alice).get(address).text
    assert client_of(olga).get(address).status_code == 404


def test_a_receipt_that_was_changed_does_not(client_of, grid, alice):
    receipt = sign(grid.accepted[0])
    receipt["outputs"][0]["digest"] = "sha256:" + "0" * 64
    receipt["token"] += 1
    Attempt.objects.filter(pk=grid.accepted[0].pk).update(receipt=receipt)

    found = checked(grid, alice)

    assert (found.is_signed, found.is_ours, found.files[0][2]) == (False, False, False)
    text = client_of(alice).get(reverse("verify-receipt", args=[grid.job.pk, grid.accepted[0].pk])).text
    assert "The signature does not match" in text
    assert "labels.npy is not the file that it names" in text


def test_the_proof_in_the_page_is_data_and_no_script(client_of, grid, alice):
    receipt = sign(grid.accepted[0])
    receipt["finished_at"] = "</script><script>alert(1)</script>"
    Attempt.objects.filter(pk=grid.accepted[0].pk).update(receipt=receipt)

    text = client_of(alice).get(reverse("verify-receipt", args=[grid.job.pk, grid.accepted[0].pk])).text

    assert "<script>alert(1)" not in text
    proof = text.split('<script id="receipt-proof" type="application/json">')[1].split("</script>")[0]
    assert json.loads(proof)["receipt"] == receipt


def test_the_log_shows_what_nodes_printed_as_text(client_of, grid, alice):
    Attempt.objects.filter(pk=grid.running.pk).update(reported_log_tail="epoch 3 <b>loss</b> 0.2")

    text = client_of(alice).get(reverse("job", args=[grid.job.pk])).text

    assert "epoch 3 &lt;b&gt;loss&lt;/b&gt; 0.2" in text
    assert "Task 1 on shed" in text
