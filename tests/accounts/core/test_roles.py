"""The table of roles, permissions and scopes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core import roles

some_roles = st.sets(st.sampled_from(roles.ALL))
some_scopes = st.sets(st.sampled_from(roles.SCOPES))
a_permission = st.sampled_from(sorted(roles.PERMISSIONS))


@given(some_roles, some_roles, a_permission)
def test_a_further_role_never_takes_a_permission_away(first, more, permission):
    if roles.may(first, permission):
        assert roles.may(first | more, permission)


@given(some_roles, some_scopes, a_permission)
def test_a_token_may_never_do_what_its_bearer_may_not(held, scopes, permission):
    if roles.token_may(held, scopes, permission):
        assert roles.may(held, permission)


@given(a_permission)
def test_without_roles_or_scopes_nothing_is_allowed(permission):
    assert not roles.may([], permission)
    assert not roles.token_may(roles.ALL, [], permission)


def test_no_token_can_touch_members_rules_credit_judgement_or_tokens():
    beyond_tokens = {
        "members.invite",
        "members.roles",
        "cooperative.leave",
        "policy.propose",
        "policy.adopt",
        "credit.issue",
        "nodes.add",
        "nodes.quarantine",
        "nodes.validate",
        "tokens.manage",
    }

    assert not [p for p in beyond_tokens if roles.token_may(roles.ALL, roles.SCOPES, p)]


def test_an_auditor_alone_changes_nothing_of_the_cooperatives():
    held = {p for p in roles.PERMISSIONS if roles.may([roles.AUDITOR], p)}

    assert held == {
        "cooperative.view",
        "cooperative.join",  # another one
        "cooperative.leave",
        "jobs.view_own",
        "jobs.view_all",
        "market.view",
        "nodes.view",
        "nodes.operate",  # those of one's own, from before
        "ledger.view_own",
        "ledger.view_all",
        "tokens.manage",
    }


def test_scopes_name_only_permissions_that_exist():
    assert set(roles.SCOPE_PERMISSIONS) == set(roles.SCOPES)
    assert set().union(*roles.SCOPE_PERMISSIONS.values()) <= set(roles.PERMISSIONS)


def test_a_permission_that_is_not_in_the_table_is_a_mistake_and_not_a_refusal():
    with pytest.raises(KeyError):
        roles.may(roles.ALL, "members.shout")
