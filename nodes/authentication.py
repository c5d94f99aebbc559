"""Who sent a node's request: RFC 9421 signatures, for the HTTP API and for the WebSocket upgrade.

A node is nobody as a person: `request.user` is anonymous, `request.auth` the Node. Its key opens
the addresses that ask for a node and no other. Scheduler and marketplace build on the classes here.
"""

import logging
from datetime import datetime
from typing import Any, Final

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from common import bodies, clock
from common.errors import AppError
from common.words import said as _
from nodes import queries
from nodes.core import states
from nodes.models import Node
from opengrid import digests, http_signatures, messages

logger = logging.getLogger(__name__)

_SIGNED_DIGEST: Final = "commongrid.signed_digest"
_CAME_AT: Final = "commongrid.came_at"
_nonces = redis.Redis.from_url(settings.WAKE_REDIS_URL, socket_timeout=1, socket_connect_timeout=1)


class NodeRefused(AppError):
    """The request is not provably that of a node; `code` is opengrid's reason."""

    status = 401
    title = _("This node's signature is not accepted")

    def __init__(self, code: str, detail: str, *, now: datetime | None = None) -> None:
        """`now` goes out as `server_time`, so that an agent can correct its clock."""
        super().__init__(detail, extra={"server_time": messages.timestamp(now)} if now else {})
        self.code = code


class NodeRetired(AppError):
    """The signature is right, but the node has been retired."""

    code = "node_retired"
    status = 403
    title = _("This node has been retired")


class NodeSignatureAuthentication(BaseAuthentication):
    """request.auth becomes the Node whose key signed method, address, query and body."""

    streams_body = False

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Node] | None:
        """None without a signature. Raises: NodeRefused, NodeRetired, bodies.BodyTooLarge."""
        if "Signature" not in request.headers and "Signature-Input" not in request.headers:
            return None
        plain: HttpRequest = request._request
        body = None if self.streams_body else bodies.read_body(plain)
        plain.META[_CAME_AT] = now = clock.database_now()
        node, verified = verify(
            method=plain.method or "", url=_url_of(plain), headers=list(plain.headers.items()), body=body, now=now
        )
        plain.META[_SIGNED_DIGEST] = verified.content_digest
        return AnonymousUser(), node

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return f'Signature tag="{http_signatures.TAG}"'


class StreamedNodeSignatureAuthentication(NodeSignatureAuthentication):
    """For uploads: the body is not read here; compare its digest with `signed_digest(request)`."""

    streams_body = True


class IsNode(BasePermission):
    """Only a node may pass, in any state but RETIRED."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises: NodeRefused where there is no node."""
        if not isinstance(request.auth, Node):
            raise NodeRefused("signature_missing", "sign the request with the node's key (RFC 9421)")
        return True


class NodeScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes it."""

    target_class = NodeSignatureAuthentication
    name = "nodeSignature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """A header; OpenAPI has no word for message signatures."""
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Signature",
            "description": "RFC 9421 signature with the node's Ed25519 key over @method, @authority, @path, @query "
            f"and content-digest; keyid is the node's id, tag {http_signatures.TAG}, at most "
            f"{http_signatures.WINDOW_SECONDS} s old, each nonce once.",
        }


class StreamedNodeScheme(NodeScheme):
    """The same for uploads."""

    target_class = StreamedNodeSignatureAuthentication
    name = "nodeSignatureOfUpload"


def verify(
    *, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None, now: datetime
) -> tuple[Node, http_signatures.VerifiedRequest]:
    """Check signature, age, nonce and the node's state; `now` comes from the database's clock.

    `body` is None for a body that is still to be read. Raises: NodeRefused, NodeRetired.
    """
    found: list[Node] = []

    def public_key(key_id: str) -> str | None:
        node = queries.node_by_key_id(key_id)
        if node is None:
            return None
        found.append(node)
        return node.public_key

    try:
        verified = http_signatures.verify_request(
            method=method, url=url, headers=headers, body=body, public_key=public_key, now=now
        )
    except http_signatures.RequestRefused as refused:
        raise NodeRefused(refused.code, refused.message, now=now) from refused
    node = found[0]
    if not _is_first_use(node, verified.nonce):
        raise NodeRefused("nonce_replayed", "this nonce was used before; sign each request anew", now=now)
    if node.state == states.RETIRED:
        raise NodeRetired("its key opens nothing any more; join again with a new key")
    return node, verified


def node_of_scope(scope: dict[str, Any]) -> Node:
    """The node that signed a WebSocket upgrade (an ASGI scope). Blocking: call it in a thread.

    Raises: NodeRefused, NodeRetired.
    """
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    host = next((value for name, value in headers if name.lower() == "host"), "")
    url = http_signatures.target_url(
        scheme=scope.get("scheme", "ws"),
        host=host,
        raw_path=scope.get("raw_path") or escape_uri_path(scope["path"]).encode("ascii"),
        query=_bytes(scope.get("query_string", b"")),
    )
    node, _ = verify(method="GET", url=url, headers=headers, body=b"", now=clock.database_now())
    return node


def node_of(request: Request) -> Node:
    """The node behind a request that IsNode let pass."""
    node = request.auth
    assert isinstance(node, Node)
    return node


def came_at(request: Request) -> datetime:
    """When a node's request was taken in, by the database's clock."""
    moment: datetime = request._request.META[_CAME_AT]
    return moment


def signed_digest(request: Request) -> str:
    """`sha256:` digest of the body as the node signed it; a streamed body must turn out to have it."""
    digest: str = request._request.META[_SIGNED_DIGEST]
    assert digests.is_digest(digest)
    return digest


def _url_of(request: HttpRequest) -> str:
    """The address as it stood in the request line; Django keeps it only in the ASGI scope."""
    scope: dict[str, Any] = getattr(request, "scope", {})
    raw_path = scope.get("raw_path") or escape_uri_path(request.path).encode("ascii")
    query = scope.get("query_string", request.META.get("QUERY_STRING", ""))
    return http_signatures.target_url(
        scheme=request.scheme or "http",
        host=request.get_host(),
        raw_path=raw_path,
        query=_bytes(query),
    )


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _is_first_use(node: Node, nonce: str) -> bool:
    """Whether the nonce is new. Without Redis the answer is yes: node writes are idempotent."""
    try:
        stored = _nonces.set(f"nonce:{node.pk}:{nonce}", 1, nx=True, ex=http_signatures.NONCE_LIFETIME_SECONDS)
    except redis.RedisError as error:
        logger.warning("nonce of node %s not remembered, Redis is away: %s", node.pk, error)
        return True
    return bool(stored)
