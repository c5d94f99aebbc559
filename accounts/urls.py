"""Addresses of people, cooperatives and their rules."""

from django.urls import path, re_path

from accounts.views import cooperative, invitations, policy, setup, tokens

urlpatterns = [
    path("setup/<str:token>/", setup.setup, name="setup"),
    path("invite/<str:token>/", invitations.invite, name="invite"),
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
