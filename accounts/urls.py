"""Addresses of people, cooperatives and their rules: pages, and what lies below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from accounts.api import cooperatives as cooperatives_api
from accounts.api import credit as credit_api
from accounts.api import invitations as invitations_api
from accounts.api import me as me_api
from accounts.api import policies as policies_api
from accounts.views import cooperative, invitations, joining, policy, sessions, setup, tokens

urlpatterns = [
    path("setup/<str:token>/", setup.setup, name="setup"),
    path("invite/<str:token>/", invitations.invite, name="invite"),
    path("join/<slug:slug>/", joining.ask, name="ask-to-join"),
    path("join/<slug:slug>/withdraw/", joining.withdraw, name="withdraw-request"),
    re_path(
        r"^cooperative/requests/(?P<request_id>[0-9]{1,18})/(?P<decision>accept|decline)/$",
        joining.decide,
        name="decide-join-request",
    ),
    path("account/sessions/<int:session_id>/end/", sessions.end_session, name="end-session"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke/", tokens.revoke_token, name="revoke-token"),
    path("cooperative/", cooperative.cooperative, name="cooperative"),
    path("cooperative/switch/", cooperative.switch_cooperative, name="switch-cooperative"),
    path("cooperative/invitations/", cooperative.create_invitation, name="create-invitation"),
    path(
        "cooperative/invitations/<int:invitation_id>/revoke/",
        invitations.revoke_invitation,
        name="revoke-invitation",
    ),
    path("cooperative/members/<int:membership_id>/", cooperative.member_roles, name="member-roles"),
    path("cooperative/members/<int:membership_id>/end/", cooperative.end_membership, name="end-membership"),
    path("cooperative/policy/", policy.policy, name="policy"),
    path("cooperative/policy/propose/", policy.propose_policy, name="propose-policy"),
    path("cooperative/policy/<int:number>/", policy.policy_version, name="policy-version"),
    path("cooperative/policy/<int:number>/adopt/", policy.adopt_policy, name="adopt-policy"),
    path("cooperative/credit/", cooperative.propose_credit_issue, name="propose-credit-issue"),
    re_path(
        r"^cooperative/credit/(?P<issue_id>[0-9]{1,18})/(?P<decision>approve|refuse)/$",
        cooperative.decide_credit_issue,
        name="decide-credit-issue",
    ),
]

_one_cooperative = [
    path("members", cooperatives_api.MembersView.as_view(), name="members"),
    path("members/<int:member_id>", cooperatives_api.MemberView.as_view(), name="member"),
    path("members/<int:member_id>/roles", cooperatives_api.MemberRolesView.as_view(), name="member-roles"),
    path("invitations", invitations_api.InvitationsView.as_view(), name="invitations"),
    path("invitations/<int:invitation_id>", invitations_api.InvitationView.as_view(), name="invitation"),
    path("policies", policies_api.PoliciesView.as_view(), name="policies"),
    path("policies/current", policies_api.CurrentPolicyView.as_view(), name="policy-current"),
    path("policies/<int:number>", policies_api.PolicyView.as_view(), name="policy"),
    path("policies/<int:number>/adopt", policies_api.AdoptView.as_view(), name="policy-adopt"),
    path("credit-issues", credit_api.CreditIssuesView.as_view(), name="credit-issues"),
    path("credit-issues/<int:issue_id>/approve", credit_api.ApproveView.as_view(), name="credit-issue-approve"),
    path("credit-issues/<int:issue_id>/refuse", credit_api.RefuseView.as_view(), name="credit-issue-refuse"),
]

api_urlpatterns: list[URLPattern | URLResolver] = [
    path("me", me_api.MeView.as_view(), name="me"),
    path("tokens", me_api.ApiTokensView.as_view(), name="api-tokens"),
    path("tokens/<int:token_id>", me_api.ApiTokenView.as_view(), name="api-token"),
    path("join", invitations_api.JoinView.as_view(), name="join"),
    path("invitations/accept", invitations_api.AcceptView.as_view(), name="invitation-accept"),
    path("cooperatives", cooperatives_api.CooperativesView.as_view(), name="cooperatives"),
    path("cooperatives/<int:cooperative_id>", cooperatives_api.CooperativeView.as_view(), name="cooperative"),
    path("cooperatives/<int:cooperative_id>/", include(_one_cooperative)),
]
"""Below /api/v1/."""
