"""/api/v1 of the wallet: balances, statement, postings of a transfer, credits for another member."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from accounts import queries as people
from accounts import services
from common import bodies, clock, paging
from common.openapi import problems, query, reply
from dashboard.queries import money
from dashboard.queries.viewer import Viewer
from dashboard.serializers import wallet as serializers
from ledger import queries as ledger


class WalletView(APIView):
    """The acting membership's credits."""

    @extend_schema(
        operation_id="wallet", responses={200: serializers.WalletReply, **problems(401, 403)}, tags=["wallet"]
    )
    def get(self, request: Request) -> Response:
        """What you have, what lies aside for what, what you earned since midnight UTC."""
        viewer = _viewer(request)
        return reply(serializers.wallet_reply(viewer.membership.wallet, money.purse(viewer), money.held(viewer)))


class StatementView(APIView):
    """What happened on the wallet."""

    @extend_schema(
        operation_id="wallet_statement",
        parameters=query(serializers.StatementQuery),
        responses={200: serializers.StatementReply, **problems(401, 403, 422)},
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """Postings with the running balance, newest first."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.StatementQuery)
        wish = money.Wish(wanted.month or "", wanted.kind or "")
        lines, more = money.statement(viewer, wanted.begins_after, wanted.limit, wish)
        views = [serializers.statement_line(line) for line in lines]
        return reply(serializers.StatementReply(lines=views, next=str(more) if more else None))


class TransfersView(APIView):
    """Transfers that touch the wallet."""

    @extend_schema(
        operation_id="transfer_retrieve",
        parameters=query(serializers.TransferQuery),
        responses={200: serializers.TransferReply, **problems(401, 403, 404, 422)},
        tags=["wallet"],
    )
    def get(self, request: Request) -> Response:
        """Every posting of one transfer that touched you; stewards and auditors see all of the cooperative's."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.TransferQuery)
        sides = money.transfer(viewer, wanted.key)
        postings = [serializers.posting_view(side) for side in sides]
        return reply(serializers.TransferReply(key=wanted.key, postings=postings))

    @extend_schema(
        operation_id="transfer_send",
        request=serializers.SendRequest,
        responses={
            201: OpenApiResponse(serializers.SendReply, "The credits have moved."),
            **problems(400, 401, 402, 403, 404, 409, 413, 415, 422),
        },
        tags=["wallet"],
    )
    @accounts.once(is_required=True)
    def post(self, request: Request) -> Response:
        """Send credits to another member of the cooperative."""
        membership = accounts.require(request, "wallet.send")
        wanted = bodies.parse(request, serializers.SendRequest)
        key, _ = services.send_credits(
            by=membership,
            to=people.get_member(membership, wanted.to_member_id),
            amount_micro=wanted.amount_micro,
            reason=wanted.reason,
            key=request.headers["Idempotency-Key"],
        )
        left = money.available(Viewer(membership, clock.database_now()))
        return reply(serializers.SendReply(key=key, available_micro=left), status=201)


class TrialBalanceView(APIView):
    """Do the books balance?"""

    @extend_schema(
        operation_id="trial_balance",
        parameters=query(paging.PageQuery),
        responses={200: serializers.TrialBalanceReply, **problems(401, 403, 404, 422)},
        tags=["wallet"],
    )
    def get(self, request: Request, cooperative_id: int) -> Response:
        """Every account of the cooperative that is not empty; for stewards and auditors."""
        membership = accounts.require(request, "ledger.view_all", cooperative_id)
        wanted = bodies.parse_query(request, paging.PageQuery)
        rows = ledger.accounts_of(membership.cooperative_id, after_id=wanted.begins_after or 0, limit=wanted.limit + 1)
        return reply(serializers.trial_balance(rows, wanted.limit))


def _viewer(request: Request) -> Viewer:
    return Viewer(accounts.require(request, "ledger.view_own"), clock.database_now())
