"""/api/v1 of the registry: files, publishers' keys and model versions, for members."""

from django.conf import settings
from django.http import FileResponse, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from accounts.models import Membership
from common import bodies, clock, paging
from common.errors import AppError, Forbidden, NotFound
from common.openapi import problems, query, reply
from common.words import said as _
from opengrid import digests
from registry import blobs, queries, serializers, services
from registry.core import publishers
from registry.models import Blob, ModelVersion

_LARGEST_ID = 2**63 - 1


class OctetsExpected(AppError):
    """Files come as they are, not as forms or text."""

    code = "octets_expected"
    status = 415
    title = _("This content type is not accepted")


class BlobView(APIView):
    """A file by its digest."""

    renderer_classes = [JSONRenderer, serializers.OctetRenderer]

    @extend_schema(
        operation_id="blob_upload",
        request={serializers.OCTETS: OpenApiTypes.BINARY},
        responses={
            200: OpenApiResponse(serializers.BlobReply, "You had this file already."),
            201: OpenApiResponse(serializers.BlobReply, "The file is stored and you may use it."),
            **problems(400, 401, 403, 404, 413, 415, 422, 503),
        },
        tags=["files"],
    )
    def put(self, request: Request, digest: str) -> Response:
        """Upload a file whole; it is stored only if its bytes have the digest in the address."""
        membership = _require_any(request, "jobs.submit", "models.publish")
        _check_digest(digest)
        limit = settings.BLOB_MAX_BYTES
        size = bodies.announced_length(request, limit)
        _check_octets(request)
        is_known = queries.has_grant(membership, digest)
        blob = services.store_blob(
            chunks=bodies.read_stream(request, limit),
            limit_bytes=limit,
            membership=membership,
            expected_digest=digest,
            expected_size=size,
        )
        answer = serializers.BlobReply(digest=blob.digest, size_bytes=blob.size_bytes)
        return reply(answer, status=200 if is_known else 201)

    @extend_schema(
        operation_id="blob_download",
        responses={(200, serializers.OCTETS): OpenApiTypes.BINARY, **problems(401, 403, 404, 503)},
        tags=["files"],
    )
    def get(self, request: Request, digest: str) -> FileResponse:
        """Download a file that you uploaded or that a job of yours produced."""
        return blobs.file_response(_own_blob(request, digest).digest)

    @extend_schema(
        operation_id="blob_head",
        responses={200: OpenApiResponse(None, "You may use this file."), **problems(401, 403, 404)},
        tags=["files"],
    )
    def head(self, request: Request, digest: str) -> HttpResponse:
        """Whether you may use a file, and its size, without the bytes."""
        blob = _own_blob(request, digest)
        size = str(blob.size_bytes)
        return HttpResponse(content_type=serializers.OCTETS, headers={"Content-Length": size, "ETag": f'"{digest}"'})


class PublisherKeysView(APIView):
    """The keys a member publishes with."""

    @extend_schema(
        operation_id="publisher_keys_list",
        parameters=query(serializers.PublisherKeysQuery),
        responses={200: serializers.PublisherKeysReply, **problems(401, 403, 422)},
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        """Your keys, newest first, and what a proof for a new one has to name."""
        membership = accounts.require(request, "models.publish")
        wanted = bodies.parse_query(request, serializers.PublisherKeysQuery)
        found = queries.keys_matching(membership, is_revoked=paging.is_true(wanted.revoked))
        page, more = paging.newest_first(found, wanted)
        return reply(
            serializers.PublisherKeysReply(
                membership_id=membership.pk,
                context=publishers.CONTEXT,
                keys=[serializers.key_view(key) for key in page],
                next=more,
            )
        )

    @extend_schema(
        operation_id="publisher_keys_create",
        request=serializers.PublisherKeyRequest,
        responses={201: serializers.PublisherKeyView, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["models"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Register a key that you hold; the proof signs {membership_id, public_key} with it."""
        membership = accounts.require(request, "models.publish")
        wanted = bodies.parse(request, serializers.PublisherKeyRequest)
        key = services.register_publisher_key(
            membership=membership, public_key=wanted.public_key, proof=wanted.proof, now=clock.database_now()
        )
        return reply(serializers.key_view(key), status=201)


class ModelsView(APIView):
    """The models of the asker's cooperative."""

    @extend_schema(
        operation_id="models_list",
        parameters=query(serializers.ModelsQuery),
        responses={200: serializers.ModelListReply, **problems(401, 403, 422)},
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        """Models with their versions, newest first."""
        membership = _require_any(request, "cooperative.view", "jobs.view_own", "models.publish")
        wanted = bodies.parse_query(request, serializers.ModelsQuery)
        found = queries.models_matching(
            membership.cooperative_id,
            search=wanted.search,
            publisher_id=membership.pk,
            is_publishers=paging.is_true(wanted.own),
        )
        page, more = paging.newest_first(found, wanted)
        return reply(serializers.ModelListReply(models=[serializers.model_view(model) for model in page], next=more))


class VersionsView(APIView):
    """Publishing."""

    @extend_schema(
        operation_id="model_version_publish",
        request=serializers.PublishRequest,
        responses={
            200: OpenApiResponse(serializers.VersionReply, "This very version had been published before."),
            201: OpenApiResponse(serializers.VersionReply, "The version is published."),
            **problems(400, 401, 403, 409, 413, 415, 422, 503),
        },
        tags=["models"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Publish a version whose files you have uploaded; it never changes afterwards."""
        membership = accounts.require(request, "models.publish")
        wanted = bodies.parse(request, serializers.PublishRequest)
        digest = digests.of_bytes(wanted.manifest.encode())
        is_known = queries.version_by_manifest(membership.cooperative_id, digest) is not None
        version = services.publish_version(
            membership=membership,
            manifest=wanted.manifest,
            signature=wanted.signature,
            now=clock.database_now(),
        )
        return reply(serializers.version_reply(version), status=200 if is_known else 201)


class VersionView(APIView):
    """One version."""

    @extend_schema(
        operation_id="model_version_retrieve",
        responses={200: serializers.VersionReply, **problems(401, 403, 404)},
        tags=["models"],
    )
    def get(self, request: Request, version_id: int) -> Response:
        """A version with its signed manifest; withdrawn ones stay readable."""
        membership = _require_any(request, "cooperative.view", "jobs.view_own", "models.publish")
        return reply(serializers.version_reply(_version(membership, version_id)))


class WithdrawView(APIView):
    """The publisher takes a version back."""

    @extend_schema(
        operation_id="model_version_withdraw",
        request=None,
        responses={200: serializers.VersionReply, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["models"],
    )
    @accounts.once()
    def post(self, request: Request, version_id: int) -> Response:
        """No new job uses the version afterwards; what was done with it stays readable."""
        membership = accounts.require(request, "models.publish")
        version = _version(membership, version_id)
        services.withdraw_version(by=membership, version=version, now=clock.database_now())
        return reply(serializers.version_reply(_version(membership, version_id)))


def _version(membership: Membership, version_id: int) -> ModelVersion:
    return queries.version_of(membership.cooperative_id, min(version_id, _LARGEST_ID))


def _own_blob(request: Request, digest: str) -> Blob:
    membership = _require_any(request, "jobs.view_own", "models.publish")
    _check_digest(digest)
    return queries.usable_blob(membership, digest)


def _require_any(request: Request, *permissions: str) -> Membership:
    """The membership, when roles and token scopes allow one of `permissions`. Raises: as accounts.require."""
    for permission in permissions[:-1]:
        try:
            return accounts.require(request, permission)
        except Forbidden:
            continue
    return accounts.require(request, permissions[-1])


def _check_digest(digest: str) -> None:
    if not digests.is_digest(digest):
        raise NotFound(f"found {digest[:80]!r}; a file's address ends in sha256: and 64 hex digits")


def _check_octets(request: Request) -> None:
    found = (request.content_type or "").partition(";")[0].strip().lower()
    if found != serializers.OCTETS:
        raise OctetsExpected(f"found {found[:100] or 'no content type'!r}; accepted is {serializers.OCTETS}")
