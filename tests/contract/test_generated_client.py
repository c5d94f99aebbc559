"""A client that a generator made of the OpenAPI document goes from an invitation to a checked result."""

import hashlib
import io
import uuid

import numpy as np
import pytest

from opengrid import canonical, keys, npy
from tests.contract import generated, material
from tests.faults import waiting

pytestmark = pytest.mark.timeout(600)
JOB_SECONDS = 200.0
ENDED = ("DONE", "FAILED", "CANCELLED")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("client")
    generated.generate(made)
    return made


@pytest.fixture(scope="module")
def part(folder):
    """Imports a part of the generated client."""
    with generated.imported(folder) as import_part:
        yield import_part


class Program:
    """A member's program that knows the platform by its generated client alone."""

    def __init__(self, part, url):
        self._part, self._url = part, url
        self._models = part("models")
        self._client = part("client").Client(base_url=url, raise_on_unexpected_status=True)

    def call(self, operation, tag, /, *arguments, expected, **named):
        """Call an operation; its parsed answer, whose status has to be `expected`."""
        function = self._part(f"api.{tag}.{operation}")
        answer = function.sync_detailed(*arguments, client=self._client, **named)
        assert answer.status_code == expected, answer.content
        return answer.parsed

    def message(self, kind, /, **fields):
        """A message of the client by its name."""
        return getattr(self._models, kind).from_dict(fields)

    def join(self, token):
        body = self.message(
            "NewcomerRequest",
            token=token,
            email="otto@example.org",
            password="a long sentence of his own",
            display_name="Otto",
            scopes=["jobs:read", "jobs:write", "models:write", "wallet:read"],
        )
        joined = self.call("join", "people", body=body, idempotency_key=str(uuid.uuid4()), expected=201)
        client = self._part("client").AuthenticatedClient
        self._client = client(base_url=self._url, token=joined.api_token, raise_on_unexpected_status=True)
        return joined

    def upload(self, data):
        """Store a file; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        file = self._part("types").File(payload=io.BytesIO(data))
        stored = self.call("blob_upload", "files", digest, body=file, expected=201)
        assert (stored.digest, stored.size_bytes) == (digest, len(data))
        return digest

    def publish(self, model):
        """Register a key, upload the model and publish it; the version."""
        key = keys.PrivateKey.generate()
        named = self.call("publisher_keys_list", "models", expected=200)
        possession = {"membership_id": named.membership_id, "public_key": key.public_text}
        proof = keys.sign_document(key, named.context, possession)
        body = self.message("PublisherKeyRequest", public_key=key.public_text, proof=proof)
        self.call("publisher_keys_create", "models", body=body, expected=201)
        manifest = canonical.canonical_bytes(material.manifest("largest", self.upload(model), len(model), key))
        body = self.message(
            "PublishRequest",
            manifest=manifest.decode(),
            signature=keys.sign_document(key, keys.MODEL_MANIFEST, manifest),
        )
        return self.call("model_version_publish", "models", body=body, expected=201)

    def submit(self, version_id, rows):
        """Upload the rows and submit the job; the estimate and the answer."""
        spec = self.message(
            "JobSpecRequest",
            name="label the rows",
            runner="onnx",
            model_version_id=version_id,
            inputs=[{"name": "rows.npy", "digest": self.upload(rows), "size_bytes": len(rows)}],
            rows_per_task=material.ROWS_PER_TASK,
            limit_price_micro=1_000_000,
        )
        estimate = self.call("job_estimate", "jobs", body=spec, expected=200)
        return estimate, self.call("job_submit", "jobs", body=spec, idempotency_key=str(uuid.uuid4()), expected=202)

    def follow(self, job_id):
        """The job once it has ended."""

        def ended():
            found.append(self.call("job_retrieve", "jobs", job_id, expected=200))
            return found[-1].state in ENDED

        found = []
        waiting.until(ended, JOB_SECONDS, "the job ended", seen=lambda: str(found[-1]))
        return found[-1]

    def fetch(self, job_id):
        """(listed output, its bytes) of everything that came out."""
        listed = self.call("job_outputs", "jobs", job_id, expected=200).outputs
        return [
            (
                output,
                self.call(
                    "job_output_file", "jobs", job_id, output.task_index, output.name, expected=200
                ).payload.read(),
            )
            for output in listed
        ]


def test_nothing_of_the_document_is_left_out(part):
    for operation, tag in generated.operations():
        assert callable(part(f"api.{tag}.{operation}").sync_detailed)


def test_the_client_gets_from_an_invitation_to_a_checked_result(grid, act, part):
    program = Program(part, grid.platform.url)
    joined = program.join(act("invite")["token"])
    me = program.call("me", "people", expected=200)
    version = program.publish(material.model())
    act("credit", me.email)
    estimate, submitted = program.submit(version.id, npy.dump(material.ROWS))
    job = program.follow(submitted.id)
    outputs = program.fetch(submitted.id)
    statement = program.call("wallet_statement", "wallet", expected=200)

    labels = [npy.load(data) for _, data in outputs]
    assert (me.email, me.acting_as) == ("otto@example.org", joined.membership.id)
    assert estimate.held_micro == submitted.held_micro > 0
    assert (job.state, job.tasks.accepted) == ("DONE", submitted.tasks_total)
    assert [output.digest for output, _ in outputs] == [
        f"sha256:{hashlib.sha256(data).hexdigest()}" for _, data in outputs
    ]
    assert np.array_equal(np.concatenate(labels), material.LABELS)
    assert sum(line.amount_micro for line in statement.lines) == statement.lines[0].balance_micro


def test_a_refusal_is_a_typed_problem_for_the_client_too(grid, part):
    program = Program(part, grid.platform.url)

    problem = program.call("me", "people", expected=401)

    assert type(problem).__name__ == "Problem"
    assert problem.code == "not_authenticated"
