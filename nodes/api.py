"""/api/v1 of nodes: what an agent calls about itself, and what members see of the fleet."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from common import bodies, clock, paging
from common.openapi import ETAG, problems, query, reply
from nodes import authentication, queries, serializers, services
from nodes.core import reasons
from opengrid import messages

_NODE_ID_RANGE = range(1, 2**63)


class NodeAPIView(APIView):
    """An address that only a node's signature opens; its answer is about that node alone."""

    authentication_classes = [authentication.NodeSignatureAuthentication]
    permission_classes = [authentication.IsNode]


class JoinView(APIView):
    """Exchange a one-time join token for a node identity."""

    authentication_classes: list[type] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="node_join",
        request=messages.JoinRequest,
        responses={
            201: OpenApiResponse(messages.JoinReply, "The machine is now a node."),
            **problems(400, 403, 409, 413, 415, 422),
        },
        tags=["nodes"],
    )
    def post(self, request: Request) -> Response:
        """Join with a token and a proof of the new key. The same key again gets the same answer."""
        now = clock.database_now()
        node = services.join(request=bodies.parse(request, messages.JoinRequest), now=now)
        answer = messages.JoinReply(
            node_id=node.pk,
            cooperative=node.cooperative.name,
            heartbeat_seconds=queries.HEARTBEAT_SECONDS,
            poll_seconds=queries.POLL_SECONDS,
            server_time=messages.timestamp(now),
        )
        return reply(answer, status=201)


class CapabilitiesView(NodeAPIView):
    """The node states what it has and what it proved."""

    @extend_schema(
        operation_id="node_capabilities",
        request=messages.SignedCapabilities,
        responses={200: messages.CapabilityReply, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Send a signed capability record; the answer says what may be sold, or why nothing."""
        node = services.record_capabilities(
            node=authentication.node_of(request),
            signed=bodies.parse(request, messages.SignedCapabilities),
            now=clock.database_now(),
        )
        return reply(serializers.own_status(node))


class OwnStatusView(NodeAPIView):
    """The calling node itself."""

    @extend_schema(
        operation_id="node_status",
        responses={200: messages.CapabilityReply, **problems(401, 403)},
        tags=["node"],
    )
    def get(self, request: Request) -> Response:
        """State, reason, sellable lots and floor price of the calling node."""
        return reply(serializers.own_status(authentication.node_of(request)))


class DrainView(NodeAPIView):
    """The node wants no new work."""

    @extend_schema(
        operation_id="node_drain",
        request=None,
        responses={200: messages.CapabilityReply, **problems(401, 403, 409)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Take no new work; what runs may finish."""
        node = authentication.node_of(request)
        node = services.drain(node=node, reason=reasons.DRAINED_BY_NODE, now=clock.database_now())
        return reply(serializers.own_status(node))


class ResumeView(NodeAPIView):
    """The node undoes its own drain."""

    @extend_schema(
        operation_id="node_resume",
        request=None,
        responses={200: messages.CapabilityReply, **problems(401, 403, 409)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Take work again after the node's own drain; an owner's drain is undone by the owner."""
        node = authentication.node_of(request)
        node = services.resume(node=node, reason=reasons.RESUMED_BY_NODE, now=clock.database_now())
        return reply(serializers.own_status(node))


class RetireView(NodeAPIView):
    """The node leaves for good."""

    @extend_schema(
        operation_id="node_retire",
        request=None,
        responses={200: messages.CapabilityReply, **problems(401, 403)},
        tags=["node"],
    )
    def post(self, request: Request) -> Response:
        """Leave for good; the key opens nothing afterwards."""
        node = authentication.node_of(request)
        node = services.retire(node=node, reason=reasons.RETIRED_BY_NODE, now=clock.database_now())
        return reply(serializers.own_status(node))


class JoinTokensView(APIView):
    """Members who operate nodes let machines join."""

    @extend_schema(
        operation_id="join_token_create",
        request=serializers.JoinTokenRequest,
        responses={201: serializers.JoinTokenReply, **problems(400, 401, 403, 409, 413, 415, 422)},
        tags=["nodes"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Make a join token for one machine on these terms; needs a session, no API token can do it."""
        membership = accounts.require(request, "nodes.add")
        terms = bodies.parse(request, serializers.JoinTokenRequest)
        token, secret = services.create_join_token(
            membership=membership, now=clock.database_now(), **terms.model_dump()
        )
        answer = serializers.JoinTokenReply(token=secret, expires_at=messages.timestamp(token.expires_at))
        return reply(answer, status=201)


class NodesView(APIView):
    """The fleet of the asker's cooperative."""

    @extend_schema(
        operation_id="nodes_list",
        parameters=query(serializers.NodesQuery),
        responses={200: serializers.NodeListReply, **problems(401, 403, 422)},
        tags=["nodes"],
    )
    def get(self, request: Request) -> Response:
        """Nodes of the cooperative with state, reason, capacity and terms, newest first."""
        membership = accounts.require(request, "nodes.view")
        wanted = bodies.parse_query(request, serializers.NodesQuery)
        found = queries.nodes_matching(
            membership.cooperative_id,
            search=wanted.search,
            state=wanted.state,
            operator_id=membership.pk,
            is_operators=paging.is_true(wanted.own),
        )
        page, more = paging.newest_first(found, wanted)
        lines = queries.fleet(page, viewer_id=membership.pk, now=clock.database_now())
        return reply(serializers.NodeListReply(nodes=[serializers.node_view(line) for line in lines], next=more))


class NodeDetailView(APIView):
    """One node of the asker's cooperative."""

    @extend_schema(
        operation_id="nodes_retrieve",
        parameters=[ETAG],
        responses={200: serializers.NodeReply, **problems(401, 403, 404)},
        tags=["nodes"],
    )
    def get(self, request: Request, node_id: int) -> Response:
        """A node and why it is in its state."""
        membership = accounts.require(request, "nodes.view")
        node = queries.get_node(membership.cooperative_id, node_id if node_id in _NODE_ID_RANGE else 0)
        [line] = queries.fleet([node], viewer_id=membership.pk, now=clock.database_now())
        events = serializers.event_views(queries.events_of(node))
        answer = reply(serializers.NodeReply(node=serializers.node_view(line), events=events))
        answer["ETag"] = node.version
        return answer
