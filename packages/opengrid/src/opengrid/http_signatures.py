"""Signed HTTP requests: the profile of RFC 9421 that nodes and coordinators speak.

A signature covers exactly @method, @authority, @path, @query and content-digest, with created,
keyid, alg, nonce and tag "opengrid-v1". The scheme is left out because a TLS-terminating proxy
changes it; the proxy must pass Host, path and query as they came. A request without a body (a GET,
a WebSocket upgrade) signs the digest of nothing. Remembering nonces for NONCE_LIFETIME_SECONDS is
the caller's duty.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import http_sf
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)

from opengrid import digests, keys
from opengrid.errors import OpengridError

TAG: Final = "opengrid-v1"
COMPONENTS: Final = ("@method", "@authority", "@path", "@query", "content-digest")
WINDOW_SECONDS: Final = 300
AHEAD_SECONDS: Final = 60
NONCE_LIFETIME_SECONDS: Final = WINDOW_SECONDS + AHEAD_SECONDS

_LABEL: Final = "opengrid"
_PARAMETERS: Final = frozenset({"created", "keyid", "alg", "nonce", "tag"})
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
_URL = re.compile(r"([^:/?#]+)://([^/?#]*)(.*)", re.DOTALL)
_HTTP_SCHEME: Final = {"ws": "http", "wss": "https"}

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class Refusal(StrEnum):
    """Why a signed request was refused."""

    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_MALFORMED = "signature_malformed"
    COMPONENT_MISSING = "component_missing"
    SIGNATURE_EXPIRED = "signature_expired"
    SIGNATURE_IN_FUTURE = "signature_in_future"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    DIGEST_MISMATCH = "digest_mismatch"


class RequestRefused(OpengridError):
    """The request carries no acceptable signature; `code` is one of Refusal."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(refusal.value, message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """What a valid signature established. `content_digest` reads `sha256:` and 64 hex digits."""

    key_id: str
    nonce: str
    created: datetime
    content_digest: str


@dataclass(slots=True)
class _Request:
    """The three attributes that the signature library reads."""

    method: str
    url: str
    headers: dict[str, str]


class _Verifier(HTTPMessageVerifier):
    """The library's verifier without its own clock: age is judged by `verify_request`."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        return


def new_nonce() -> str:
    """A fresh nonce of 128 random bits; a retry is signed anew with another one."""
    return secrets.token_urlsafe(16)


def target_url(*, scheme: str, host: str, raw_path: bytes, query: bytes) -> str:
    """The URL to verify, from the bytes of the request line (ASGI `raw_path`, `query_string`).

    Never use a decoded or rebuilt path: `/a%2Fb` and `/a/b` are different resources.
    """
    path = raw_path.partition(b"?")[0].decode("latin-1")
    suffix = f"?{query.decode('latin-1')}" if query else ""
    return f"{scheme}://{host}{path}{suffix}"


def content_digest_header(digest: str) -> str:
    """The Content-Digest field (RFC 9530) of a `sha256:` digest. Raises: ValueError."""
    if not digests.is_digest(digest):
        raise ValueError(f"found {digest[:80]!r}; a digest reads sha256: and 64 hex digits")
    return http_sf.ser({"sha-256": bytes.fromhex(digest.removeprefix("sha256:"))})


def sign_request(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | str = b"",
    private: keys.PrivateKey,
    key_id: str,
    created: datetime,
    nonce: str,
) -> dict[str, str]:
    """Return the headers to add: Content-Digest, Signature-Input and Signature.

    `url` is absolute, http(s) or ws(s), encoded just as it is sent (`str(httpx_request.url)`), in
    the characters of RFC 3986 alone (so write [ as %5B, which httpx does not do).
    `headers` are those the request already has: a Host among them replaces the URL's authority.
    `body` is the content, or for a streamed body its digest `sha256:...`. `created` is aware.
    Raises: ValueError for a request that cannot be signed under this profile.
    """
    if created.tzinfo is None:
        raise ValueError("created must be an aware time")
    if _NONCE.fullmatch(nonce) is None or _KEY_ID.fullmatch(key_id) is None:
        raise ValueError("nonce takes 16 to 64 characters of base64url, key_id 1 to 100 of a name")
    present = _fields(headers or {})
    if present.keys() & {"signature", "signature-input", "content-digest"}:
        raise ValueError("the request already carries a signature or a Content-Digest")
    digest = body if isinstance(body, str) else digests.of_bytes(body)
    request = _request(method, url, content_digest_header(digest), present.get("host"))
    signer = HTTPMessageSigner(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={key_id: private.key}),
    )
    try:
        signer.sign(
            request,
            key_id=key_id,
            created=created,
            nonce=nonce,
            label=_LABEL,
            tag=TAG,
            covered_component_ids=COMPONENTS,
            use_existing_digest=True,
        )
    except HTTPMessageSignaturesException as error:
        raise ValueError(f"the request cannot be signed: {error}") from error
    return request.headers


def verify_request(
    *,
    method: str,
    url: str,
    headers: Headers,
    body: bytes | None,
    public_key: Callable[[str], str | None],
    now: datetime,
    window_seconds: int = WINDOW_SECONDS,
) -> VerifiedRequest:
    """Check a request's signature and return who signed it.

    1. One signature with our tag, the exact components and parameters.
    2. Its age: at most `window_seconds`, at most AHEAD_SECONDS ahead of the aware time `now`.
    3. The key: `public_key` maps a key id to its text form or None.
    4. The signature itself.
    5. The digest of `body`; pass None only for a streamed body, and then run
       `ContentDigestCheck(result.content_digest)` over the stream.

    `url` is built by `target_url`; its authority is the Host header as received.
    Raises: RequestRefused. The nonce is not looked up here: refuse one seen before.
    """
    fields = _fields(headers)
    parameters = _signature_parameters(fields)
    created = _check_age(parameters["created"], now, window_seconds)
    key_id, nonce = parameters["keyid"], parameters["nonce"]
    digest = _parse_content_digest(fields.get("content-digest"))
    key_text = public_key(key_id)
    if key_text is None:
        raise RequestRefused(Refusal.UNKNOWN_KEY, f"no key with id {key_id} is registered")
    try:
        key = keys.public_key(key_text)
    except keys.BadKey as error:
        raise RequestRefused(Refusal.UNKNOWN_KEY, f"key {key_id}: {error.message}") from error
    verifier = _Verifier(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={key_id: key}, private_keys={}),
    )
    request = _request(method, url, fields["content-digest"], None)
    request.headers |= {name: fields[name] for name in ("signature-input", "signature")}
    try:
        verifier.verify(request, expect_tag=TAG, max_age=None, require_components=COMPONENTS)
    except HTTPMessageSignaturesException as error:
        raise RequestRefused(
            Refusal.BAD_SIGNATURE, "the signature does not match this method, URL, digest and key"
        ) from error
    if body is not None:
        check = ContentDigestCheck(digest)
        check.update(body)
        check.finish()
    return VerifiedRequest(key_id, nonce, created, digest)


class ContentDigestCheck:
    """Compares a body, as it streams in, with the digest that was signed."""

    def __init__(self, content_digest: str) -> None:
        """`content_digest` reads `sha256:` and 64 hex digits (VerifiedRequest.content_digest)."""
        self._expected = content_digest
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._sha256.update(chunk)
        self.size_bytes += len(chunk)

    def finish(self) -> None:
        """Return if the whole body matches. Raises: RequestRefused(digest_mismatch)."""
        found = f"sha256:{self._sha256.hexdigest()}"
        if not hmac.compare_digest(found, self._expected):
            raise RequestRefused(
                Refusal.DIGEST_MISMATCH,
                f"the body of {self.size_bytes} bytes has {found}; {self._expected} was signed",
            )


def _request(method: str, url: str, content_digest: str, host: str | None) -> _Request:
    """The request as the library sees it: ws is http, so that default ports fall away alike."""
    found = _URL.fullmatch(url)
    if found is not None:
        scheme, authority, rest = found.groups()
        scheme = scheme.lower()
        url = f"{_HTTP_SCHEME.get(scheme, scheme)}://{host or authority}{rest}"
    return _Request(method, url, {"Content-Digest": content_digest})


def _fields(headers: Headers) -> dict[str, str]:
    """Lowercase names; repeated fields are joined, so that a second signature is seen."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    fields: dict[str, str] = {}
    for name, value in pairs:
        lower = name.lower()
        fields[lower] = f"{fields[lower]}, {value}" if lower in fields else value
    return fields


def _malformed(message: str) -> RequestRefused:
    return RequestRefused(Refusal.SIGNATURE_MALFORMED, message)


def _dictionary(name: str, value: str) -> dict[str, Any]:
    def refuse_duplicate(key: str, context: str) -> None:
        raise ValueError(f"{key} appears twice in a {context}")

    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=refuse_duplicate)
    except ValueError as error:
        raise _malformed(f"{name} is not a structured dictionary: {error}") from error
    if not isinstance(parsed, dict):
        raise _malformed(f"{name} is not a structured dictionary")
    return parsed


def _signature_parameters(fields: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of the one signature with our tag, after the form was checked."""
    for name in ("signature-input", "signature"):
        if name not in fields:
            raise RequestRefused(
                Refusal.SIGNATURE_MISSING,
                f"the request has no {name} header; sign it as RFC 9421, tag {TAG}",
            )
    inputs = _dictionary("signature-input", fields["signature-input"])
    signatures = _dictionary("signature", fields["signature"])
    if inputs.keys() != signatures.keys():
        raise _malformed("signature-input and signature have different labels")
    ours = [label for label, (_, params) in inputs.items() if params.get("tag") == TAG]
    if not ours:
        raise RequestRefused(Refusal.SIGNATURE_MISSING, f"no signature has the tag {TAG}")
    if len(ours) > 1:
        raise _malformed(f"found {len(ours)} signatures with the tag {TAG}; one is accepted")
    components, parameters = inputs[ours[0]]
    value, extra = signatures[ours[0]]
    if not isinstance(value, bytes) or len(value) != 64 or extra:
        raise _malformed("the signature is not a byte sequence of 64 bytes")
    _check_components(components)
    _check_parameters(parameters)
    return dict(parameters)


def _check_components(components: Any) -> None:
    if not isinstance(components, list):
        raise _malformed("the signature input is not a list of components")
    names = []
    for name, params in components:
        if not isinstance(name, str) or params:
            raise _malformed("components are plain names without parameters")
        names.append(name)
    lacking = [name for name in COMPONENTS if name not in names]
    if lacking:
        raise RequestRefused(Refusal.COMPONENT_MISSING, f"the signature does not cover {', '.join(lacking)}")
    if len(names) != len(COMPONENTS):
        raise _malformed(f"the signature covers more than {', '.join(COMPONENTS)}")


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    if parameters.keys() != _PARAMETERS:
        raise _malformed(
            f"the signature has the parameters {', '.join(sorted(parameters)) or 'none'}; "
            f"exactly {', '.join(sorted(_PARAMETERS))} are accepted"
        )
    if parameters["alg"] != "ed25519" or not isinstance(parameters["alg"], str):
        raise _malformed("the algorithm is not ed25519")
    if type(parameters["created"]) is not int:
        raise _malformed("created is not an integer")
    for name, pattern in (("keyid", _KEY_ID), ("nonce", _NONCE)):
        value = parameters[name]
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise _malformed(f"{name} is not of the form {pattern.pattern}")


def _check_age(created: int, now: datetime, window_seconds: int) -> datetime:
    """The creation time, if it lies within the window. `now` is aware."""
    if now.tzinfo is None:
        raise ValueError("now must be an aware time")
    age = now.timestamp() - created
    if age > window_seconds:
        raise RequestRefused(
            Refusal.SIGNATURE_EXPIRED,
            f"the signature is older than {window_seconds} s; sign the request anew",
        )
    if age < -AHEAD_SECONDS:
        raise RequestRefused(
            Refusal.SIGNATURE_IN_FUTURE,
            f"the signature is more than {AHEAD_SECONDS} s ahead of the server's clock "
            f"({now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ})",
        )
    return datetime.fromtimestamp(created, UTC)


def _parse_content_digest(value: str | None) -> str:
    if value is None:
        raise RequestRefused(Refusal.COMPONENT_MISSING, "the signed header content-digest is not in the request")
    members = _dictionary("content-digest", value)
    digest, params = members.get("sha-256", (None, {}))
    if len(members) != 1 or params or not isinstance(digest, bytes) or len(digest) != 32:
        raise _malformed("content-digest is not exactly one sha-256 of 32 bytes")
    return f"sha256:{digest.hex()}"
