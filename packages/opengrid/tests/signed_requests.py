"""One signed request, its keys, and the question why it is refused."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from opengrid import http_signatures, keys
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
    """A POST of `body` to URL as its signer sends it at NOW."""
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
    """Why the server refuses it; fails if it does not."""
    with pytest.raises(RequestRefused) as refused:
        message.verify()
    assert refused.value.code == refused.value.refusal.value
    return refused.value.refusal
