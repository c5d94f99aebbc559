"""Panels of the nodes list, of a node's page and of the page where a machine joins."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from common import errors, figures
from dashboard.core import plot, quantities, wishes
from dashboard.panels.panel import Panel, number
from dashboard.queries import fleet, machines
from dashboard.queries import viewer as viewers
from dashboard.queries.viewer import Viewer
from nodes import queries as nodes
from nodes.core import states
from nodes.models import Node


def _node(viewer: Viewer, key: str) -> Node:
    return viewer.once(("node", key), lambda: nodes.get_node(viewer.cooperative_id, number(key)))


def _list(viewer: Viewer, key: str) -> Mapping[str, Any]:
    try:
        wish = fleet.Wish(**wishes.unpack(key, fleet.NAMES))
    except (ValueError, KeyError) as error:
        raise errors.NotFound from error
    page = fleet.page(viewer, wish)
    more = urlencode({name: value for name, value in (wish.as_dict() | {"after": page.after}).items() if value})
    return {
        "rows": page.rows,
        "counts": page.counts,
        "wish": wish,
        "more": more if page.after else "",
        "may_add": viewer.may("nodes.add"),
        "total": sum(page.counts[name] for name in ("", "retired")),
    }


def _state(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    row = machines.row(viewer, node)
    return {
        "node": node,
        "row": row,
        "idle": machines.why_idle(viewer, row),
        "quarantine": machines.quarantine(node),
        "may_judge": viewer.may("nodes.quarantine"),
        "may_drain": states.may_step(node.state, states.DRAINING),
        "may_retire": states.may_step(node.state, states.RETIRED),
    }


def _earnings(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    return {"node": node, "earnings": machines.earnings(viewer, node), "shares": machines.shares(node)}


def _use(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    hours = machines.by_hour(viewer, node)
    capacity = max(1, node.sellable_lots) * 3_600_000
    used = [min(1000, 1000 * hour.worked_ms // capacity) for hour in hours]
    earned = [hour.earned_micro for hour in hours]
    words = [f"{hour.began_at:%H:%M}" for hour in hours]
    return {
        "node": node,
        "used_bars": plot.bars(
            used,
            [f"{at}: {figures.localised(f'{share / 10:.1f}')} %" for at, share in zip(words, used, strict=True)],
            most=1000,
        ),
        "earned_bars": plot.bars(
            earned,
            [f"{at}: {figures.localised(quantities.price(sum_))}" for at, sum_ in zip(words, earned, strict=True)],
        ),
        "bars_width": plot.width(hours),
        "first": words[0],
        "used_now_permille": used[-1],
        "earned_micro": sum(earned),
        "best_micro": max(earned),
    }


def _evidence(viewer: Viewer, key: str) -> Mapping[str, Any]:
    node = _node(viewer, key)
    rows, after = machines.evidence(node)
    return {"node": node, "rows": rows, "after": after}


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
    Panel("node-use", _("Last 24 hours"), _use, _of_node, app="nodes"),
    Panel("node-evidence", _("Evidence"), _evidence, _of_node, app="nodes"),
    Panel("node-earnings", _("Earnings"), _earnings, _of_node, app="nodes"),
    Panel("node-scores", _("Scores"), _scores, _of_node, app="nodes"),
    Panel("node-attempts", _("What it ran"), _attempts, _of_node, app="nodes"),
    Panel("node-record", _("Capability record"), _record, _of_node, app="nodes"),
    Panel("node-events", _("History"), _events, _of_node, app="nodes"),
    Panel("node-joining", _("Joining"), _joining, _of_joining, app="nodes"),
)
