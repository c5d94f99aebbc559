"""Panels of the nodes list, of a node's page and of the page where a machine joins."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from dashboard.panels.panel import Panel, number
from dashboard.queries import machines
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node


def _node(viewer: Viewer, key: str) -> Node:
    return nodes.get_node(viewer.cooperative_id, number(key))


def _list(viewer: Viewer, key: str) -> Mapping[str, Any]:
    return {"rows": machines.listed(viewer), "may_add": viewer.may("nodes.add")}


def _state(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    return {
        "node": node,
        "row": machines.row(viewer, node),
        "may_judge": viewer.may("nodes.quarantine"),
        "may_drain": states.may_step(node.state, states.DRAINING),
        "may_retire": states.may_step(node.state, states.RETIRED),
    }


def _earnings(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    return {"node": node, "earnings": machines.earnings(viewer, node), "shares": machines.shares(node)}


def _scores(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    return {"node": node, "scores": machines.scores(node)}


def _attempts(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    sees_jobs = node.operator_id == viewer.membership.pk or viewer.may("jobs.view_all")
    return {"node": node, "attempts": machines.attempts(node), "sees_jobs": sees_jobs}


def _record(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    statement = nodes.latest_statement(node)
    return {"node": node, "statement": statement, "record": statement.claimed_record if statement else None}


def _events(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    return {"node": node, "events": nodes.events_of(node)}


def _joining(viewer: Viewer, key: str) -> Mapping[str, Any]:
    token = viewers.join_token(viewer, number(key))
    node = token.used_by
    return {
        "token": token,
        "node": node,
        "statement": nodes.latest_statement(node) if node else None,
        "attempts": machines.attempts(node)[:1] if node else [],
        "is_over": token.expires_at < viewer.now,
    }


def _of_node(_viewer: Viewer, key: str) -> tuple[str, ...]:
    return (f"node.{key}.page",)


def _of_cooperative(viewer: Viewer, _key: str) -> tuple[str, ...]:
    return (f"nodes.{viewer.cooperative_id}",)


def _of_joining(viewer: Viewer, key: str) -> tuple[str, ...]:
    token = viewers.join_token(viewer, number(key))
    own = (f"node.{token.used_by_id}.page",) if token.used_by_id else ()
    return (f"nodes.{viewer.cooperative_id}", *own)


PANELS = (
    Panel("nodes-list", _("Nodes"), _list, _of_cooperative, app="nodes"),
    Panel("node-state", _("State"), _state, _of_node, css="node-state", app="nodes"),
    Panel("node-earnings", _("Earnings"), _earnings, _of_node, app="nodes"),
    Panel("node-scores", _("Scores"), _scores, _of_node, app="nodes"),
    Panel("node-attempts", _("What it ran"), _attempts, _of_node, app="nodes"),
    Panel("node-record", _("Capability record"), _record, _of_node, app="nodes"),
    Panel("node-events", _("History"), _events, _of_node, app="nodes"),
    Panel("node-joining", _("Joining"), _joining, _of_joining, app="nodes"),
)
