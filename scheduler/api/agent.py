"""What a node's agent calls: heartbeat, claim, files, result, failure, offer. Every request is signed."""

from django.http import FileResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import bodies, clock, errors
from common.openapi import problems, reply
from marketplace import services as market
from nodes import authentication
from nodes import services as nodes
from opengrid import messages
from registry import blobs
from registry import services as registry
from scheduler import queries
from scheduler.services import claims, endings, results


class AgentView(APIView):
    """An address that only a node's signature opens; its answer is about that node alone."""

    authentication_classes = [authentication.NodeSignatureAuthentication]
    permission_classes = [authentication.IsNode]


class HeartbeatView(AgentView):
    """The node is alive."""

    @extend_schema(
        operation_id="node_heartbeat",
        request=messages.HeartbeatRequest,
        responses={200: messages.HeartbeatReply, **problems(400, 401, 403, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Report load and progress; learn which attempts to stop and whether work is waiting."""
        node = authentication.node_of(request)
        beat = bodies.parse(request, messages.HeartbeatRequest)
        now = authentication.came_at(request)
        nodes.record_heartbeat(node=node, request=beat, now=now)
        stale = results.record_beats(node=node, beats=beat.attempts)
        return reply(
            messages.HeartbeatReply(
                server_time=messages.timestamp(now),
                node_state=node.state,
                stale_attempt_ids=tuple(stale),
                work_waiting=queries.has_work_for(node),
            )
        )


class OfferView(AgentView):
    """The node's standing SELL offer."""

    @extend_schema(
        operation_id="node_offer",
        request=messages.OfferRequest,
        responses={200: messages.OfferReply, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["node"],
    )
    def put(self, request: Request) -> Response:
        """Keep one standing offer of at most so many lots; never below the floor that the owner set."""
        offer = bodies.parse(request, messages.OfferRequest)
        order = market.keep_standing_offer(
            node=authentication.node_of(request), lots=offer.lots, price_micro=offer.price_micro
        )
        return reply(messages.OfferReply(order_id=order.pk, lots=order.lots, price_micro=order.price_micro))

    @extend_schema(
        operation_id="node_offer_withdraw", request=None, responses={204: None, **problems(401, 403)}, tags=["node"]
    )
    def delete(self, request: Request) -> Response:
        """Take the standing offer off the book; leases stay."""
        market.withdraw_offer(node=authentication.node_of(request))
        return Response(status=204)


class ClaimView(AgentView):
    """Work for the node."""

    @extend_schema(
        operation_id="node_claim",
        request=messages.ClaimRequest,
        responses={200: messages.ClaimReply, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Claim up to `max_tasks` tasks of jobs that lease this node."""
        claim = bodies.parse(request, messages.ClaimRequest)
        tasks = claims.claim_work(
            node=authentication.node_of(request), max_tasks=claim.max_tasks, now=authentication.came_at(request)
        )
        return reply(messages.ClaimReply(tasks=tuple(tasks), reason="" if tasks else "no_task_waiting"))


class NodeBlobView(AgentView):
    """Files of the attempts that the node is running."""

    @extend_schema(
        operation_id="node_blob",
        responses={(200, "application/octet-stream"): bytes, **problems(401, 403, 404)},
        tags=["node"],
    )
    def get(self, request: Request, digest: str) -> FileResponse:
        """Fetch an input, a bundle or a model file of a running attempt by digest."""
        if not queries.may_fetch(authentication.node_of(request).pk, digest):
            raise errors.NotFound("no attempt that this node is running needs that file")
        return blobs.file_response(digest)


class OutputView(AgentView):
    """Output files of a running attempt."""

    authentication_classes = [authentication.StreamedNodeSignatureAuthentication]

    @extend_schema(
        operation_id="node_output",
        request={"application/octet-stream": bytes},
        responses={
            201: OpenApiResponse(messages.BlobRef, "Stored."),
            **problems(400, 401, 403, 404, 409, 411, 413, 422),
        },
        tags=["node"],
    )
    def put(self, request: Request, attempt_id: int, token: int, name: str) -> Response:
        """Upload one output file; the body's digest must be the signed one."""
        attempt = results.attempt_of(node=authentication.node_of(request), attempt_id=attempt_id, token=token)
        name = results.output_name(name)
        limit = results.output_limit_bytes(attempt)
        blob = registry.store_blob(
            chunks=bodies.read_stream(request, limit),
            limit_bytes=limit,
            expected_digest=authentication.signed_digest(request),
        )
        results.record_output(attempt=attempt, name=name, blob=blob)
        return reply(messages.BlobRef(name=name, digest=blob.digest, size_bytes=blob.size_bytes), status=201)


class ResultView(AgentView):
    """The result of an attempt."""

    @extend_schema(
        operation_id="node_result",
        request=messages.ResultRequest,
        responses={200: messages.ResultReply, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request, attempt_id: int) -> Response:
        """Report a result with its signed receipt, after its outputs were uploaded. Safe to send again."""
        attempt = results.report_result(
            node=authentication.node_of(request),
            attempt_id=attempt_id,
            request=bodies.parse(request, messages.ResultRequest),
            now=clock.database_now(),
        )
        return reply(messages.ResultReply(attempt_id=attempt.pk, state=attempt.state))


class ResultsView(AgentView):
    """Results of several attempts together."""

    @extend_schema(
        operation_id="node_results",
        request=messages.ResultsRequest,
        responses={200: messages.ResultsReply, **problems(400, 401, 403, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Report up to 100 results, small outputs along with them. Each has its own outcome; safe to send again."""
        wanted = bodies.parse(request, messages.ResultsRequest).results
        outcomes = results.report_results(
            node=authentication.node_of(request), results=wanted, now=authentication.came_at(request)
        )
        return reply(
            messages.ResultsReply(
                outcomes=tuple(
                    _outcome(result.receipt.attempt_id, outcome)
                    for result, outcome in zip(wanted, outcomes, strict=True)
                )
            )
        )


def _outcome(attempt_id: int, outcome: results.Outcome) -> messages.ResultOutcome:
    if outcome.attempt is not None:
        return messages.ResultOutcome(attempt_id=attempt_id, state=outcome.attempt.state)
    assert outcome.refusal is not None
    return messages.ResultOutcome(attempt_id=attempt_id, code=outcome.refusal.code, detail=str(outcome.refusal))


class FailureView(AgentView):
    """An attempt that ended without a result."""

    @extend_schema(
        operation_id="node_failure",
        request=messages.FailureRequest,
        responses={200: messages.ResultReply, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request, attempt_id: int) -> Response:
        """Report why an attempt failed; the task is handed out again."""
        attempt = endings.report_failure(
            node=authentication.node_of(request),
            attempt_id=attempt_id,
            request=bodies.parse(request, messages.FailureRequest),
            now=clock.database_now(),
        )
        return reply(messages.ResultReply(attempt_id=attempt.pk, state=attempt.state))
