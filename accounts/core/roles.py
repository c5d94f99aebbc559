"""Who may do what: the one table of roles, permissions and token scopes."""

from collections.abc import Iterable

MEMBER = "MEMBER"
OPERATOR = "OPERATOR"
STEWARD = "STEWARD"
AUDITOR = "AUDITOR"
ALL = [MEMBER, OPERATOR, STEWARD, AUDITOR]

PERMISSIONS: dict[str, frozenset[str]] = {
    "cooperative.view": frozenset(ALL),
    "cooperative.join": frozenset(ALL),
    "cooperative.leave": frozenset(ALL),
    "jobs.submit": frozenset({MEMBER, OPERATOR, STEWARD}),
    "jobs.view_own": frozenset(ALL),
    "jobs.view_all": frozenset({STEWARD, AUDITOR}),
    "market.view": frozenset(ALL),
    "market.trade": frozenset({MEMBER, OPERATOR, STEWARD}),
    "models.publish": frozenset({MEMBER, OPERATOR, STEWARD}),
    "models.withdraw": frozenset({STEWARD}),
    "nodes.view": frozenset(ALL),
    "nodes.add": frozenset({OPERATOR, STEWARD}),
    "nodes.operate": frozenset(ALL),
    "nodes.quarantine": frozenset({STEWARD}),
    "nodes.validate": frozenset({STEWARD}),
    "members.invite": frozenset({STEWARD}),
    "members.roles": frozenset({STEWARD}),
    "policy.propose": frozenset({STEWARD}),
    "policy.adopt": frozenset({STEWARD}),
    "credit.issue": frozenset({STEWARD}),
    "console.view": frozenset({STEWARD}),
    "ledger.view_own": frozenset(ALL),
    "ledger.view_all": frozenset({STEWARD, AUDITOR}),
    "wallet.send": frozenset({MEMBER, OPERATOR, STEWARD}),
    "tokens.manage": frozenset(ALL),
}
"""Permission -> roles that have it. A permission that is not here is nobody's."""

SCOPES = [
    "jobs:read",
    "jobs:write",
    "models:write",
    "market:write",
    "wallet:read",
    "wallet:write",
    "nodes:write",
    "cooperative:read",
    "cooperative:write",
]

SCOPE_PERMISSIONS: dict[str, frozenset[str]] = {
    "jobs:read": frozenset({"jobs.view_own", "jobs.view_all", "market.view", "nodes.view"}),
    "jobs:write": frozenset({"jobs.submit", "jobs.view_own"}),
    "models:write": frozenset({"models.publish"}),
    "market:write": frozenset({"market.trade", "market.view"}),
    "wallet:read": frozenset({"ledger.view_own", "ledger.view_all"}),
    "wallet:write": frozenset({"ledger.view_own", "wallet.send"}),
    "nodes:write": frozenset({"nodes.view", "nodes.operate"}),
    "cooperative:read": frozenset({"cooperative.view"}),
    "cooperative:write": frozenset({"cooperative.view", "cooperative.join"}),
}
"""What a token of a scope may use at most; the bearer's roles limit it further.

No scope has the stewards' acts on money, rules, members and judgement, nor the making of tokens: these need a
person in a session (docs/decisions/0012).
"""


def may(roles: Iterable[str], permission: str) -> bool:
    """Whether someone with `roles` has `permission`. Raises: KeyError for an unknown permission."""
    return not PERMISSIONS[permission].isdisjoint(roles)


def token_may(roles: Iterable[str], scopes: Iterable[str], permission: str) -> bool:
    """Whether a token with `scopes` of someone with `roles` may use `permission`."""
    return may(roles, permission) and any(permission in SCOPE_PERMISSIONS[scope] for scope in scopes)
