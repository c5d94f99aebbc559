"""Signed requests: what a signature covers, how long it holds, and what is not signed at all."""

from datetime import timedelta
from typing import Any

import pytest

from opengrid import digests, http_signatures
from opengrid.http_signatures import Refusal, RequestRefused, VerifiedRequest
from packages.opengrid.tests.signed_requests import BODY, NONCE, NOW, OTHER, PRIVATE, URL, Message, refusal_of, signed


def test_a_signed_request_tells_who_signed_what_and_when() -> None:
    found = signed().verify()

    assert found == VerifiedRequest(
        key_id="7",
        nonce=NONCE,
        created=NOW.replace(microsecond=0),
        content_digest=digests.of_bytes(BODY),
    )


def test_another_method_path_query_or_host_is_refused() -> None:
    forged = [
        Message(headers=signed().headers, method="PUT"),
        Message(headers=signed().headers, method="post"),
    ]
    for old, new in (
        ("nodes/7", "nodes/8"),
        ("/claims", "/claims/"),
        ("wait=5", "wait=6"),
        ("?wait=5&x=%2F", ""),
        ("%2F", "/"),
        ("grid.example", "evil.example"),
        (":8443", ""),
        (":8443", ":8444"),
        ("/api", "//api"),
        ("https://grid.example:8443", ""),
    ):
        assert old in URL
        forged.append(Message(headers=signed().headers, url=URL.replace(old, new)))

    for message in forged:
        assert refusal_of(message) is Refusal.BAD_SIGNATURE, message.url


def test_the_scheme_may_change_behind_a_proxy() -> None:
    message = signed()

    for scheme in ("http", "HTTPS", "ws", "wss"):
        message.url = URL.replace("https", scheme)
        assert message.verify().key_id == "7"


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("wss://grid.example:443/ws", "http://grid.example/ws"),
        ("ws://grid.example:80/ws", "ws://grid.example/ws"),
        ("https://Grid.Example", "http://grid.example/"),
        ("https://[::1]:9000/a?", "http://[::1]:9000/a"),
    ],
)
def test_default_ports_and_case_do_not_matter(sent: str, seen: str) -> None:
    headers = http_signatures.sign_request(
        method="GET", url=sent, private=PRIVATE, key_id="7", created=NOW, nonce=NONCE
    )

    assert Message("GET", seen, b"", NOW, headers).verify().content_digest == digests.of_bytes(b"")


def test_a_host_header_is_signed_in_place_of_the_urls_authority() -> None:
    headers = http_signatures.sign_request(
        method="GET",
        url="http://127.0.0.1:8000/a",
        headers={"Host": "grid.example"},
        private=PRIVATE,
        key_id="7",
        created=NOW,
        nonce=NONCE,
    )

    assert Message("GET", "https://grid.example/a", b"", NOW, headers).verify().key_id == "7"
    with pytest.raises(RequestRefused):
        Message("GET", "http://127.0.0.1:8000/a", b"", NOW, headers).verify()


def test_another_body_is_refused() -> None:
    for body in (b"", BODY + b" ", BODY[:-1], b'{"max_tasks":4}'):
        message = signed()
        message.body = body
        assert refusal_of(message) is Refusal.DIGEST_MISMATCH


def test_another_body_with_its_own_digest_is_refused() -> None:
    message, other = signed(), b'{"max_tasks":4}'

    message.body = other
    message.headers["Content-Digest"] = http_signatures.content_digest_header(digests.of_bytes(other))

    assert refusal_of(message) is Refusal.BAD_SIGNATURE


def test_a_streamed_body_is_checked_as_it_arrives() -> None:
    chunks = [b"a" * 70_000, b"b", b"c" * 30_000]
    digest, _ = digests.of_chunks(chunks)
    headers = http_signatures.sign_request(
        method="PUT", url=URL, body=digest, private=PRIVATE, key_id="7", created=NOW, nonce=NONCE
    )
    found = Message("PUT", URL, None, NOW, headers).verify()
    right = http_signatures.ContentDigestCheck(found.content_digest)
    wrong = http_signatures.ContentDigestCheck(found.content_digest)

    for chunk in chunks:
        right.update(chunk)
    for chunk in chunks[:-1]:
        wrong.update(chunk)

    right.finish()
    with pytest.raises(RequestRefused) as refused:
        wrong.finish()
    assert refused.value.code == "digest_mismatch"
    assert (right.size_bytes, wrong.size_bytes) == (100_001, 70_001)


@pytest.mark.parametrize(
    ("age", "refusal"),
    [
        (timedelta(seconds=299), None),
        (timedelta(seconds=301), Refusal.SIGNATURE_EXPIRED),
        (timedelta(days=3650), Refusal.SIGNATURE_EXPIRED),
        (timedelta(seconds=-59), None),
        (timedelta(seconds=-62), Refusal.SIGNATURE_IN_FUTURE),
        (timedelta(days=-3650), Refusal.SIGNATURE_IN_FUTURE),
    ],
)
def test_only_recent_signatures_are_accepted(age: timedelta, refusal: Refusal | None) -> None:
    message = signed()
    message.now = NOW + age

    if refusal is None:
        assert message.verify().nonce == NONCE
    else:
        assert refusal_of(message) is refusal


def test_another_key_is_refused_and_an_unknown_one_is_named() -> None:
    assert refusal_of(signed(OTHER, "7")) is Refusal.BAD_SIGNATURE
    assert refusal_of(signed(PRIVATE, "8")) is Refusal.BAD_SIGNATURE
    assert refusal_of(signed(PRIVATE, "9")) is Refusal.UNKNOWN_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"created": NOW.replace(tzinfo=None)},
        {"nonce": "short"},
        {"key_id": "a b"},
        {"body": "sha256:zz"},
        {"url": "https:///path"},
        {"url": "/path"},
        {"url": "https://grid.example/grüße"},
        {"url": "https://grid.example/a?x=[1]"},
        {"method": "get"},
        {"headers": {"CONTENT-DIGEST": "sha-256=:AAAA:"}},
        {"headers": {"signature": "a=:AAAA:"}},
    ],
)
def test_a_request_outside_the_profile_is_not_signed(change: dict[str, Any]) -> None:
    request: dict[str, Any] = {
        "method": "GET", "url": URL, "private": PRIVATE, "key_id": "7", "created": NOW,
        "nonce": NONCE,
    }  # fmt: skip

    with pytest.raises(ValueError, match=r"."):
        http_signatures.sign_request(**request | change)


def test_nonces_do_not_repeat_and_fit_the_profile() -> None:
    nonces = {http_signatures.new_nonce() for _ in range(1000)}

    assert len(nonces) == 1000
    assert all(len(nonce) == 22 for nonce in nonces)
