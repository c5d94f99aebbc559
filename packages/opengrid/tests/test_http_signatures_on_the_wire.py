"""Signed requests between two libraries, and over real HTTP and WebSocket."""

import http.server
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import http_message_signatures
import httpx
import pytest
from websockets.http11 import Request as WebSocketRequest
from websockets.http11 import Response as WebSocketResponse
from websockets.sync import client as websocket_client
from websockets.sync import server as websocket_server

from opengrid import http_signatures
from opengrid.http_signatures import VerifiedRequest
from packages.opengrid.tests.signed_requests import (
    BODY,
    KEYS,
    NONCE,
    NOW,
    PRIVATE,
    URL,
    Message,
)


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
