"""Signed requests: forged in every way, over real HTTP and WebSocket, and between two libraries."""

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import http_message_signatures
import http_sf
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request as WebSocketRequest
from websockets.http11 import Response as WebSocketResponse
from websockets.sync import client as websocket_client
from websockets.sync import server as websocket_server

from opengrid import digests, http_signatures, keys
from opengrid.http_signatures import Refusal, RequestRefused, VerifiedRequest

NOW = datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=UTC)
PRIVATE, OTHER = keys.PrivateKey.generate(), keys.PrivateKey.generate()
KEYS = {"7": PRIVATE.public_text, "8": OTHER.public_text}
URL = "https://grid.example:8443/api/v1/nodes/7/claims?wait=5&x=%2F"
BODY = b'{"max_tasks":3}'
NONCE = "abcdefghijklmnop_-0123"


@dataclass
class Message:
    """A request under attack; its fields are what the server sees."""

    method: str = "POST"
    url: str = URL
    body: bytes | None = BODY
    now: datetime = NOW
    headers: dict[str, str] = field(default_factory=dict)

    def verify(self) -> VerifiedRequest:
        return http_signatures.verify_request(
            method=self.method,
            url=self.url,
            headers=self.headers,
            body=self.body,
            public_key=KEYS.get,
            now=self.now,
        )


def signed(private: keys.PrivateKey = PRIVATE, key_id: str = "7", body: bytes = BODY) -> Message:
    added = http_signatures.sign_request(
        method="POST",
        url=URL,
        headers={"content-type": "application/json"},
        body=body,
        private=private,
        key_id=key_id,
        created=NOW,
        nonce=NONCE,
    )
    return Message(body=body, headers=added)


def refusal_of(message: Message) -> Refusal:
    with pytest.raises(RequestRefused) as refused:
        message.verify()
    assert refused.value.code == refused.value.refusal.value
    return refused.value.refusal


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
    ("old", "new"),
    [
        ("created=1", "created=2"),
        ('keyid="7"', 'keyid="8"'),
        (f'nonce="{NONCE}"', 'nonce="ponmlkjihgfedcba"'),
        ('"@method" "@authority"', '"@authority" "@method"'),
    ],
)
def test_changed_parameters_are_refused(old: str, new: str) -> None:
    message = signed()
    assert old in message.headers["Signature-Input"]
    message.headers["Signature-Input"] = message.headers["Signature-Input"].replace(old, new)

    assert refusal_of(message) in (Refusal.BAD_SIGNATURE, Refusal.SIGNATURE_IN_FUTURE)


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        (' "content-digest"', "", Refusal.COMPONENT_MISSING),
        ('"@query" ', "", Refusal.COMPONENT_MISSING),
        ('"@method" ', "", Refusal.COMPONENT_MISSING),
        ('"@path"', '"@target-uri"', Refusal.COMPONENT_MISSING),
        ('"@path"', '"@path" "@path"', Refusal.SIGNATURE_MALFORMED),
        ('"@path"', '"@path" "host"', Refusal.SIGNATURE_MALFORMED),
        ('"@path"', '"@path";req', Refusal.SIGNATURE_MALFORMED),
        ('"content-digest"', '"content-digest";bs', Refusal.SIGNATURE_MALFORMED),
        ('"@path"', "path", Refusal.SIGNATURE_MALFORMED),
        (';tag="opengrid-v1"', "", Refusal.SIGNATURE_MISSING),
        ("opengrid-v1", "opengrid-v2", Refusal.SIGNATURE_MISSING),
        (f';nonce="{NONCE}"', "", Refusal.SIGNATURE_MALFORMED),
        (NONCE, "short", Refusal.SIGNATURE_MALFORMED),
        (NONCE, "abcdefghijklmnop abcdef", Refusal.SIGNATURE_MALFORMED),
        (';keyid="7"', "", Refusal.SIGNATURE_MALFORMED),
        (';keyid="7"', ";keyid=7", Refusal.SIGNATURE_MALFORMED),
        (';alg="ed25519"', "", Refusal.SIGNATURE_MALFORMED),
        ('alg="ed25519"', 'alg="hmac-sha256"', Refusal.SIGNATURE_MALFORMED),
        ('alg="ed25519"', 'alg="ed25519";expires=9999999999', Refusal.SIGNATURE_MALFORMED),
        ("created=", "created=-", Refusal.SIGNATURE_EXPIRED),
        ("created=1", "created=99999", Refusal.SIGNATURE_IN_FUTURE),
        ("created=1", "created=1.", Refusal.SIGNATURE_MALFORMED),
        ("created=1", "created=@1", Refusal.SIGNATURE_MALFORMED),
        ("opengrid=(", "other=(", Refusal.SIGNATURE_MALFORMED),
        ("opengrid=(", "opengrid=((", Refusal.SIGNATURE_MALFORMED),
        ("opengrid=(", "opengrid=é(", Refusal.SIGNATURE_MALFORMED),
    ],
)
def test_another_form_of_signature_is_refused_by_name(old: str, new: str, refusal: Refusal) -> None:
    message = signed()
    assert old in message.headers["Signature-Input"]
    message.headers["Signature-Input"] = message.headers["Signature-Input"].replace(old, new, 1)

    assert refusal_of(message) is refusal


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("Signature", None, Refusal.SIGNATURE_MISSING),
        ("Signature-Input", None, Refusal.SIGNATURE_MISSING),
        ("Content-Digest", None, Refusal.COMPONENT_MISSING),
        ("Signature", "", Refusal.SIGNATURE_MALFORMED),
        ("Signature", "opengrid=:AAAA:", Refusal.SIGNATURE_MALFORMED),
        ("Signature", 'opengrid="text"', Refusal.SIGNATURE_MALFORMED),
        ("Signature", f"opengrid=:{'A' * 86}==:", Refusal.BAD_SIGNATURE),
        ("Signature", f"opengrid=:{'A' * 86}==:;x=1", Refusal.SIGNATURE_MALFORMED),
        ("Signature", "opengrid=:AAAA:, opengrid=:AAAA:", Refusal.SIGNATURE_MALFORMED),
        ("Content-Digest", "sha-256=:AAAA:", Refusal.SIGNATURE_MALFORMED),
        ("Content-Digest", "md5=:AAAA:", Refusal.SIGNATURE_MALFORMED),
        ("Content-Digest", "", Refusal.SIGNATURE_MALFORMED),
        ("Content-Digest", "\x00", Refusal.SIGNATURE_MALFORMED),
    ],
)
def test_missing_and_malformed_headers_are_refused_by_name(name: str, value: str | None, refusal: Refusal) -> None:
    message = signed()
    del message.headers[name]
    if value is not None:
        message.headers[name] = value

    assert refusal_of(message) is refusal


def test_two_signatures_of_ours_are_refused_and_one_of_a_proxy_is_ignored() -> None:
    def with_second(tag: str) -> Message:
        message = signed()
        first = message.headers["Signature-Input"]
        second = first.replace("opengrid=", "proxy=").replace("opengrid-v1", tag)
        message.headers["Signature-Input"] = f"{first}, {second}"
        message.headers["Signature"] += f", proxy=:{'A' * 86}==:"
        return message

    assert refusal_of(with_second("opengrid-v1")) is Refusal.SIGNATURE_MALFORMED
    assert with_second("proxy").verify().key_id == "7"


def test_repeated_header_lines_do_not_hide_a_second_signature() -> None:
    message = signed()
    doubled = [*message.headers.items(), ("signature-input", message.headers["Signature-Input"])]

    with pytest.raises(RequestRefused) as refused:
        http_signatures.verify_request(
            method="POST",
            url=URL,
            headers=doubled,
            body=BODY,
            public_key=KEYS.get,
            now=NOW,
        )

    assert refused.value.refusal is Refusal.SIGNATURE_MALFORMED


@given(
    st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]),
    st.data(),
)
def test_no_mutated_header_is_accepted_or_crashes(name: str, data: st.DataObject) -> None:
    message = signed()
    value = message.headers[name]
    start = data.draw(st.integers(0, len(value) - 1))
    stop = data.draw(st.integers(start, min(len(value), start + 4)))
    inserted = data.draw(st.text(max_size=4))
    message.headers[name] = value[:start] + inserted + value[stop:]

    try:
        accepted = message.verify()
    except RequestRefused:
        return

    # only spaces, quotes of parameters in another spelling and base64 padding may differ
    assert accepted == signed().verify()


def test_every_bit_flip_of_the_signature_is_refused() -> None:
    message = signed()
    raw = http_message_signatures.HTTPMessageVerifier._parse_signature_dictionary(message.headers["Signature"])[
        "opengrid"
    ].value
    assert isinstance(raw, bytes)

    for bit in range(512):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        message.headers["Signature"] = f"opengrid={http_sf.ser(bytes(flipped))}"
        assert refusal_of(message) is Refusal.BAD_SIGNATURE


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


def test_the_plain_library_accepts_our_signature_and_we_accept_its() -> None:
    now = datetime.fromtimestamp(time.time(), UTC)  # the plain library has its own clock
    resolver = http_message_signatures.MappingKeyResolver(
        public_keys={"7": PRIVATE.key.public_key()}, private_keys={"7": PRIVATE.key}
    )
    options: dict[str, Any] = {
        "signature_algorithm": http_message_signatures.algorithms.ED25519,
        "key_resolver": resolver,
    }
    theirs, ours = httpx.Request("POST", URL), httpx.Request("POST", URL, content=BODY)
    http_message_signatures.HTTPMessageSigner(**options).sign(
        theirs,
        key_id="7",
        created=now,
        nonce=NONCE,
        tag=http_signatures.TAG,
        covered_component_ids=http_signatures.COMPONENTS,
        body=BODY,
    )

    ours.headers.update(
        http_signatures.sign_request(
            method="POST",
            url=URL,
            body=BODY,
            private=PRIVATE,
            key_id="7",
            created=now,
            nonce=NONCE,
        )
    )

    assert Message("POST", URL, BODY, now, dict(theirs.headers)).verify().key_id == "7"
    (result,) = http_message_signatures.HTTPMessageVerifier(**options).verify(
        ours, expect_tag="opengrid-v1", require_components=http_signatures.COMPONENTS, body=BODY
    )
    assert result.nonce == NONCE


@pytest.fixture
def server() -> Iterator[tuple[str, list[VerifiedRequest]]]:
    verified: list[VerifiedRequest] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            path, _, query = self.path.encode().partition(b"?")
            verified.append(
                http_signatures.verify_request(
                    method=self.command,
                    url=http_signatures.target_url(
                        scheme="https", host=self.headers["Host"], raw_path=path, query=query
                    ),
                    headers=self.headers.items(),
                    body=body,
                    public_key=KEYS.get,
                    now=NOW,
                )
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}", verified
        finally:
            running.shutdown()
            thread.join()


@pytest.mark.parametrize("target", ["", "/", "/a%2Fb/ü?q=a b&r=%20+", "/a?x=%5B1%5D", "/~a;b=c@:d!$"])
def test_requests_of_a_real_client_verify_at_a_real_server(
    server: tuple[str, list[VerifiedRequest]], target: str
) -> None:
    origin, verified = server
    with httpx.Client(trust_env=False) as client:
        request = client.build_request("POST", origin + target, content=BODY)
        request.headers.update(
            http_signatures.sign_request(
                method=request.method,
                url=str(request.url),
                headers=request.headers,
                body=BODY,
                private=PRIVATE,
                key_id="7",
                created=NOW,
                nonce=http_signatures.new_nonce(),
            )
        )

        assert client.send(request).status_code == 204

    assert [each.key_id for each in verified] == ["7"]


def test_a_websocket_handshake_verifies_at_a_real_server() -> None:
    verified: list[VerifiedRequest] = []

    def check(_: Any, request: WebSocketRequest) -> WebSocketResponse | None:
        path, _, query = request.path.encode().partition(b"?")
        verified.append(
            http_signatures.verify_request(
                method="GET",
                url=http_signatures.target_url(scheme="ws", host=request.headers["Host"], raw_path=path, query=query),
                headers=list(request.headers.raw_items()),
                body=b"",
                public_key=KEYS.get,
                now=NOW,
            )
        )
        return None

    with websocket_server.serve(
        lambda connection: connection.send("ready"), "127.0.0.1", 0, process_request=check
    ) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{running.socket.getsockname()[1]}/ws/nodes/7?since=3"
        headers = http_signatures.sign_request(
            method="GET",
            url=url,
            private=PRIVATE,
            key_id="7",
            created=NOW,
            nonce=http_signatures.new_nonce(),
        )

        with websocket_client.connect(url, additional_headers=headers, proxy=None) as connection:
            greeting = connection.recv(timeout=10)

        running.shutdown()
        thread.join()
    assert greeting == "ready"
    assert [each.key_id for each in verified] == ["7"]


def test_nonces_do_not_repeat_and_fit_the_profile() -> None:
    nonces = {http_signatures.new_nonce() for _ in range(1000)}

    assert len(nonces) == 1000
    assert all(len(nonce) == 22 for nonce in nonces)
