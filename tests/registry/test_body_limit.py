"""Too much is refused while it comes in, before Django has taken it to disk."""

import json

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application

from config.body_limit import PAGE_LIMIT_BYTES, BodyLimit
from opengrid import digests

CHUNK = bytes(64 * 1024)


async def send(path, chunks, *, announced=None):
    """Status, problem and how many chunks were taken in."""
    headers = [(b"host", b"testserver"), (b"content-type", b"application/octet-stream")]
    if announced is not None:
        headers.append((b"content-length", str(announced).encode()))
    scope = {
        "type": "http",
        "method": "PUT",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "scheme": "http",
        "http_version": "1.1",
    }
    talk = ApplicationCommunicator(BodyLimit(get_asgi_application()), scope)
    for number, chunk in enumerate(chunks):
        await talk.send_input({"type": "http.request", "body": chunk, "more_body": number + 1 < len(chunks)})
    start = await talk.receive_output(timeout=20)
    body = await talk.receive_output(timeout=20)
    left = talk.input_queue.qsize()
    await talk.wait(timeout=20)
    return start["status"], json.loads(body["body"]), len(chunks) - left


@pytest.fixture
def limit(settings):
    settings.BLOB_MAX_BYTES = 10 * len(CHUNK)
    return settings.BLOB_MAX_BYTES


PATHS = ["/api/v1/blobs/" + digests.of_bytes(b"x"), "/api/v1/node/attempts/1/1/outputs/y.npy"]


@pytest.mark.parametrize("path", PATHS)
async def test_an_announced_excess_is_refused_unread(path, limit):
    status, problem, taken = await send(path, [CHUNK] * 20, announced=limit + 1)

    assert (status, problem["code"], taken) == (413, "body_too_large", 0)


@pytest.mark.parametrize("path", PATHS)
async def test_an_unannounced_excess_is_refused_where_it_begins(path, limit):
    status, problem, taken = await send(path, [CHUNK] * 20)

    assert (status, problem["code"], problem["limit_bytes"]) == (413, "body_too_large", limit)
    assert taken == 11


async def test_other_addresses_take_less_than_files(settings):
    settings.BLOB_MAX_BYTES = 10 * PAGE_LIMIT_BYTES

    status, problem, taken = await send("/api/v1/jobs", [CHUNK], announced=PAGE_LIMIT_BYTES + 1)

    assert (status, problem["limit_bytes"], taken) == (413, PAGE_LIMIT_BYTES, 0)


@pytest.mark.django_db(transaction=True)
async def test_what_fits_reaches_its_address(limit):
    status, problem, taken = await send(PATHS[0], [CHUNK] * 10)

    assert (status, problem["code"], taken) == (401, "not_authenticated", 10)
