"""The `Idempotency-Key` header: a request that is sent again gets the answer it got, and does nothing twice."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import services
from accounts.models import ApiToken
from common import bodies, clock
from common.errors import Invalid
from common.words import said as _
from opengrid import digests

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LONGEST: Final = 200
COOPERATIVE_KEY: Final = "cooperative_id"

Handler = Callable[..., Response]


class IdempotencyKeyInvalid(Invalid):
    """The header is missing where it must be, too long, or not plain text."""

    code = "idempotency_key_invalid"
    title = _("The idempotency key cannot be accepted")


def once(*, is_required: bool = False) -> Callable[[Handler], Handler]:
    """Make a handler of an unsafe method answer the same request once; below `extend_schema`.

    Act and answer are committed together. A refusal is not kept: nothing happened, so that the same key may be
    used again. Raises: IdempotencyKeyInvalid, services.IdempotencyKeyReused.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def answer_once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = _key(request, is_required)
            if key is None:
                return handler(view, request, *args, **kwargs)
            fingerprint = _fingerprint(request)
            caller = _caller(request, fingerprint)
            with transaction.atomic():
                earlier = services.earlier_reply(caller=caller, key=key, fingerprint=fingerprint)
                if earlier is not None:
                    return _replayed(*earlier)
                answer = handler(view, request, *args, **kwargs)
                services.keep_reply(
                    caller=caller,
                    key=key,
                    fingerprint=fingerprint,
                    status=answer.status_code,
                    body=_body(answer),
                    now=clock.database_now(),
                )
            return answer

        parameter = OpenApiParameter(
            HEADER,
            {"type": "string", "pattern": rf"^[!-~]([ -~]{{0,{LONGEST - 2}}}[!-~])?$"},
            OpenApiParameter.HEADER,
            required=is_required,
            description="The same request under the same key is carried out once and answered alike for 24 hours.",
        )
        described: Handler = extend_schema(parameters=[parameter])(answer_once)
        return described

    return decorate


def _key(request: Request, is_required: bool) -> str | None:
    key: str | None = request.headers.get(HEADER)
    accepted = f"accepted are 1 to {LONGEST} printable ASCII characters, drawn at random for each new request"
    if key is None and is_required:
        raise IdempotencyKeyInvalid(_("found no %(header)s header; %(accepted)s", header=HEADER, accepted=accepted))
    if key is not None and not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid(_("found %(count)s characters; %(accepted)s", count=len(key), accepted=accepted))
    return key


def _fingerprint(request: Request) -> str:
    body = bodies.read_body(request)
    return digests.of_document([request.method, request.get_full_path(), digests.of_bytes(body)])


def _caller(request: Request, fingerprint: str) -> str:
    """Who the key belongs to: a token, a person acting for a cooperative, or, signed out, this very request."""
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.pk}"
    if request.user is not None and request.user.is_authenticated:
        return f"user:{request.user.pk}:{request.session.get(COOPERATIVE_KEY, '')}"
    return f"nobody:{fingerprint}"


def _body(answer: Response) -> bytes:
    kept = {"data": answer.data, "etag": answer.headers.get("ETag")}
    encoded: bytes = JSONRenderer().render(kept)
    return encoded


def _replayed(status: int, body: bytes) -> Response:
    kept = json.loads(body)
    answer = Response(kept["data"], status=status, headers={REPLAYED: "true"})
    if kept["etag"]:
        answer["ETag"] = kept["etag"]
    return answer
