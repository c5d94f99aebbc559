"""/api/v1 of what owners and stewards do with nodes; what they are is in nodes/api.py."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from accounts.models import Membership
from common import bodies, clock, versions
from common.openapi import ETAG, IF_MATCH, problems, reply
from marketplace import services as market
from nodes import queries, serializers, services
from nodes.core import reasons
from nodes.models import Node


class TermsView(APIView):
    """What the owner asks for."""

    @extend_schema(
        operation_id="node_terms_set",
        request=serializers.TermsRequest,
        parameters=[IF_MATCH, ETAG],
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 412, 413, 415, 422, 428)},
        tags=["nodes"],
    )
    @accounts.once()
    def put(self, request: Request, node_id: int) -> Response:
        """Set floor price and limit of a node of yours; its standing offer follows."""
        membership, node = _node(request, "nodes.operate", node_id)
        version = versions.wanted(request.headers)
        wanted = bodies.parse(request, serializers.TermsRequest)
        market.set_node_terms(
            by=membership, node=node, version=version, now=clock.database_now(), **wanted.model_dump()
        )
        return _answer(membership, node_id)


class SharesView(APIView):
    """Who shares in the earnings."""

    @extend_schema(
        operation_id="node_shares",
        responses={200: serializers.SharesReply, **problems(401, 403, 404)},
        tags=["nodes"],
    )
    def get(self, request: Request, node_id: int) -> Response:
        """How a node's earnings are divided."""
        _, node = _node(request, "nodes.view", node_id)
        return reply(serializers.shares_reply(queries.shares_of([node.pk])[node.pk]))

    @extend_schema(
        operation_id="node_shares_set",
        request=serializers.SharesRequest,
        responses={200: serializers.SharesReply, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def put(self, request: Request, node_id: int) -> Response:
        """Divide the earnings of a node of yours among members; 10,000 basis points in all."""
        membership, node = _node(request, "nodes.operate", node_id)
        wanted = bodies.parse(request, serializers.SharesRequest)
        services.set_shares(by=membership, node=node, shares=serializers.shares_by_member(wanted))
        return reply(serializers.shares_reply(queries.shares_of([node.pk])[node.pk]))


class DrainView(APIView):
    """The owner wants no new work for the node."""

    @extend_schema(
        operation_id="node_owner_drain",
        request=None,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """Let a node of yours finish what runs and take no more."""
        membership, node = _node(request, "nodes.operate", node_id)
        services.drain(node=node, reason=reasons.DRAINED_BY_OWNER, by=membership, now=clock.database_now())
        return _answer(membership, node_id)


class ResumeView(APIView):
    """The owner ends a drain."""

    @extend_schema(
        operation_id="node_owner_resume",
        request=None,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """Let a node of yours take work again."""
        membership, node = _node(request, "nodes.operate", node_id)
        services.resume(node=node, reason=reasons.RESUMED_BY_OWNER, by=membership, now=clock.database_now())
        return _answer(membership, node_id)


class RetireView(APIView):
    """The owner takes the node away for good."""

    @extend_schema(
        operation_id="node_owner_retire",
        request=None,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """End a node of yours; its key opens nothing afterwards."""
        membership, node = _node(request, "nodes.operate", node_id)
        services.retire(node=node, reason=reasons.RETIRED_BY_OWNER, by=membership, now=clock.database_now())
        return _answer(membership, node_id)


class AppealView(APIView):
    """The owner's words about a quarantine."""

    @extend_schema(
        operation_id="node_appeal",
        request=serializers.WordsRequest,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """Tell the stewards why a node of yours should be released."""
        membership, node = _node(request, "nodes.operate", node_id)
        wanted = bodies.parse(request, serializers.WordsRequest)
        services.appeal(node=node, by=membership, text=wanted.text, now=clock.database_now())
        return _answer(membership, node_id)


class QuarantineView(APIView):
    """A steward's judgement."""

    @extend_schema(
        operation_id="node_quarantine",
        request=serializers.WordsRequest,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """Take a node out of work, with words that its owner reads; for stewards in a session."""
        membership, node = _node(request, "nodes.quarantine", node_id)
        wanted = bodies.parse(request, serializers.WordsRequest)
        services.quarantine(
            node=node,
            reason=reasons.QUARANTINED_BY_STEWARD,
            by=membership,
            now=clock.database_now(),
            detail=wanted.text,
        )
        return _answer(membership, node_id)


class ReleaseView(APIView):
    """A steward lets the node prove itself again."""

    @extend_schema(
        operation_id="node_release",
        request=serializers.WordsRequest,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request, node_id: int) -> Response:
        """Release a node from quarantine, on probation; for stewards in a session."""
        membership, node = _node(request, "nodes.quarantine", node_id)
        wanted = bodies.parse(request, serializers.WordsRequest)
        services.release_from_quarantine(
            node=node, reason=reasons.RELEASED_BY_STEWARD, by=membership, now=clock.database_now(), detail=wanted.text
        )
        return _answer(membership, node_id)


class ValidatorView(APIView):
    """Whose results need no second owner."""

    @extend_schema(
        operation_id="node_validator_set",
        request=serializers.ValidatorRequest,
        responses={200: serializers.NodeView, **problems(400, 401, 403, 404, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def put(self, request: Request, node_id: int) -> Response:
        """Name a node of the cooperative as validator, or take that back; for stewards in a session."""
        membership, node = _node(request, "nodes.validate", node_id)
        wanted = bodies.parse(request, serializers.ValidatorRequest)
        services.name_validator(
            by=membership,
            node=node,
            is_validator=wanted.is_validator,
            now=clock.database_now(),
            detail=wanted.text,
        )
        return _answer(membership, node_id)


def _node(request: Request, permission: str, node_id: int) -> tuple[Membership, Node]:
    membership = accounts.require(request, permission)
    return membership, queries.get_node(membership.cooperative_id, node_id)


def _answer(membership: Membership, node_id: int) -> Response:
    node = queries.get_node(membership.cooperative_id, node_id)
    [line] = queries.fleet([node], viewer_id=membership.pk, now=clock.database_now())
    answer = reply(serializers.node_view(line))
    answer["ETag"] = node.version
    return answer
