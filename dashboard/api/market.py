"""/api/v1 of the market: books, depth, trades, own orders and leases."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import authentication as accounts
from common import bodies, clock, errors, paging
from common.openapi import problems, query, reply
from common.words import said as _
from dashboard.queries import books
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from dashboard.serializers import market as serializers
from marketplace import queries as market
from marketplace import services
from marketplace.models import Order
from nodes import queries as nodes
from nodes.models import Node


class BoughtByJobs(errors.Invalid):
    """Capacity has no use without a job, which buys it under a hold of its own."""

    code = "bought_by_jobs"
    title = _("Capacity is bought by submitting a job")


class BooksView(APIView):
    """The market of the asker's cooperative."""

    @extend_schema(
        operation_id="books_list",
        parameters=query(serializers.BooksQuery),
        responses={200: serializers.BookListReply, **problems(401, 403, 422)},
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """The books your cooperative trades in, with their best prices."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.BooksQuery)
        page, more = paging.oldest_first(books.books_matching(viewer, resource_class=wanted.resource_class), wanted)
        best = market.best_prices(page)
        return reply(serializers.BookListReply(books=[serializers.book_view(book, best) for book in page], next=more))


class BookView(APIView):
    """One book."""

    @extend_schema(
        operation_id="book_retrieve",
        responses={200: serializers.BookView, **problems(401, 403, 404)},
        tags=["market"],
    )
    def get(self, request: Request, book_id: int) -> Response:
        """A book with its best prices."""
        book = viewers.book(_viewer(request), book_id)
        return reply(serializers.book_view(book, market.best_prices([book])))


class DepthView(APIView):
    """What rests on a book."""

    @extend_schema(
        operation_id="book_depth",
        responses={200: serializers.DepthReply, **problems(401, 403, 404)},
        tags=["market"],
    )
    def get(self, request: Request, book_id: int) -> Response:
        """The twelve best prices of each side. Offers of nodes that cannot take work now are left out."""
        viewer = _viewer(request)
        depth = books.depth(viewer, viewers.book(viewer, book_id))
        return reply(serializers.DepthReply(sells=serializers.levels(depth.sells), buys=serializers.levels(depth.buys)))


class TradesView(APIView):
    """What traded on a book."""

    @extend_schema(
        operation_id="book_trades",
        parameters=query(paging.PageQuery),
        responses={200: serializers.TradeListReply, **problems(401, 403, 404, 422)},
        tags=["market"],
    )
    def get(self, request: Request, book_id: int) -> Response:
        """Trades, newest first."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, paging.PageQuery)
        page, more = paging.newest_first(market.trades_of(viewers.book(viewer, book_id)), wanted)
        return reply(serializers.TradeListReply(trades=[serializers.trade_view(trade) for trade in page], next=more))


class PreviewView(APIView):
    """An order that is only thought of."""

    @extend_schema(
        operation_id="order_preview",
        parameters=query(serializers.PreviewQuery),
        responses={200: serializers.PreviewReply, **problems(401, 403, 404, 422)},
        tags=["market"],
    )
    def get(self, request: Request, book_id: int) -> Response:
        """What such an order would trade at once. Nothing is placed."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.PreviewQuery)
        fill = books.would_fill(
            viewer,
            viewers.book(viewer, book_id),
            side=wanted.side,
            lots=wanted.lots,
            limit_micro=wanted.price_micro,
        )
        return reply(serializers.preview_reply(fill, most_micro=wanted.price_micro * wanted.lots))


class OrdersView(APIView):
    """The asker's orders."""

    @extend_schema(
        operation_id="orders_list",
        parameters=query(serializers.OrdersQuery),
        responses={200: serializers.OrderListReply, **problems(401, 403, 422)},
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Your orders, newest first: those you placed, and those your jobs and nodes placed for you."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.OrdersQuery)
        found = market.orders_matching(
            viewer.membership,
            state=wanted.state,
            is_live=paging.is_true(wanted.live),
            side=wanted.side,
            book_id=wanted.book,
        )
        page, more = paging.newest_first(found, wanted)
        return reply(serializers.OrderListReply(orders=[serializers.order_view(order) for order in page], next=more))

    @extend_schema(
        operation_id="order_place",
        request=serializers.OrderRequest,
        responses={
            202: OpenApiResponse(serializers.OrderView, "On its way to the book; what becomes of it is its state."),
            **problems(400, 401, 403, 404, 409, 413, 415, 422),
        },
        tags=["market"],
    )
    @accounts.once()
    def post(self, request: Request) -> Response:
        """Offer lots of a node of yours, never below its floor price."""
        viewer = _viewer(request, "market.trade")
        wanted = bodies.parse(request, serializers.OrderRequest)
        if wanted.side == Order.Side.BUY:
            raise BoughtByJobs("found a BUY order; accepted are SELL orders, and jobs with a limit price")
        order = services.place_order(
            book=viewers.book(viewer, wanted.book_id),
            side=wanted.side,
            placed_by=viewer.membership,
            price_micro=wanted.price_micro,
            lots=wanted.lots,
            time_in_force=wanted.time_in_force,
            node=_own_node(viewer, wanted.node_id),
        )
        return reply(serializers.order_view(market.get_order(viewer.membership, order.pk)), status=202)


class OrderView(APIView):
    """One order of the asker's."""

    @extend_schema(
        operation_id="order_retrieve",
        responses={200: serializers.OrderView, **problems(401, 403, 404)},
        tags=["market"],
    )
    def get(self, request: Request, order_id: int) -> Response:
        """An order and what became of it."""
        return reply(serializers.order_view(market.get_order(_viewer(request).membership, order_id)))


class CancelOrderView(APIView):
    """Take an order off the book."""

    @extend_schema(
        operation_id="order_cancel",
        request=None,
        responses={
            202: OpenApiResponse(serializers.OrderView, "The matcher takes it off; its state says when."),
            **problems(400, 401, 403, 404, 409, 413, 422),
        },
        tags=["market"],
    )
    @accounts.once()
    def post(self, request: Request, order_id: int) -> Response:
        """Cancel what has not traded; what has traded stays traded."""
        viewer = _viewer(request, "market.trade")
        order = market.get_order(viewer.membership, order_id)
        services.cancel_order(order=order, by=viewer.membership)
        return reply(serializers.order_view(market.get_order(viewer.membership, order_id)), status=202)


class LeasesView(APIView):
    """What the asker leases."""

    @extend_schema(
        operation_id="leases_list",
        parameters=query(serializers.LeasesQuery),
        responses={200: serializers.LeaseListReply, **problems(401, 403, 422)},
        tags=["market"],
    )
    def get(self, request: Request) -> Response:
        """Your leases, newest first, by hand or through jobs."""
        viewer, wanted = _viewer(request), bodies.parse_query(request, serializers.LeasesQuery)
        page, more = paging.newest_first(market.leases_of(viewer.membership, state=wanted.state), wanted)
        return reply(serializers.LeaseListReply(leases=[serializers.lease_view(lease) for lease in page], next=more))


def _viewer(request: Request, permission: str = "market.view") -> Viewer:
    return Viewer(accounts.require(request, permission), clock.database_now())


def _own_node(viewer: Viewer, node_id: int | None) -> Node:
    if node_id is None:
        raise errors.Invalid("node_id: found nothing; accepted is the id of a node of yours")
    return nodes.get_node(viewer.cooperative_id, node_id)
