"""What people and cooperatives can do. Every function is one act and one transaction."""

from accounts.services.acts import ReasonNeeded, checked_reason, record_act
from accounts.services.api_tokens import (
    TokenRefused,
    find_api_token,
    issue_api_token,
    revoke_api_token,
)
from accounts.services.cooperatives import (
    LastSteward,
    SlugTaken,
    UnknownRole,
    found_cooperative,
    leave,
    set_roles,
)
from accounts.services.credit_issues import (
    AlreadyDecided,
    IssuanceLimitReached,
    IssueRefused,
    approve_credit_issue,
    propose_credit_issue,
    refuse_credit_issue,
)
from accounts.services.first_steward import (
    SetupLinkExpired,
    first_steward_link,
    use_first_steward_link,
)
from accounts.services.invitations import (
    AlreadyMember,
    InvitationExpired,
    InvitationForAnother,
    InvitationRevoked,
    InvitationUsed,
    accept_invitation,
    check_usable,
    invite,
    revoke_invitation,
)
from accounts.services.join_requests import (
    AlreadyAsked,
    JoinRequestsClosed,
    MessageNeeded,
    RequestDecided,
    accept_request,
    ask_to_join,
    decline_request,
    withdraw_request,
)
from accounts.services.mails import mail_decision, mail_invitation
from accounts.services.newcomers import PasswordRefused, join_with_invitation
from accounts.services.people import EmailTaken, create_person
from accounts.services.permissions import (
    NotAllowed,
    SecondStewardNeeded,
    acting,
    require,
)
from accounts.services.policies import (
    AlreadyAdopted,
    NothingChanges,
    PolicyRefused,
    PolicySuperseded,
    adopt_policy,
    propose_policy,
)
from accounts.services.replies import IdempotencyKeyReused, earlier_reply, forget_replies, keep_reply
from accounts.services.sessions import end_session
from accounts.services.wallets import SendingRefused, send_credits

__all__ = [
    "AlreadyAdopted",
    "AlreadyAsked",
    "AlreadyDecided",
    "AlreadyMember",
    "EmailTaken",
    "IdempotencyKeyReused",
    "InvitationExpired",
    "InvitationForAnother",
    "InvitationRevoked",
    "InvitationUsed",
    "IssuanceLimitReached",
    "IssueRefused",
    "JoinRequestsClosed",
    "LastSteward",
    "MessageNeeded",
    "NotAllowed",
    "NothingChanges",
    "PasswordRefused",
    "PolicyRefused",
    "PolicySuperseded",
    "ReasonNeeded",
    "RequestDecided",
    "SecondStewardNeeded",
    "SendingRefused",
    "SetupLinkExpired",
    "SlugTaken",
    "TokenRefused",
    "UnknownRole",
    "accept_invitation",
    "accept_request",
    "acting",
    "adopt_policy",
    "approve_credit_issue",
    "ask_to_join",
    "check_usable",
    "checked_reason",
    "create_person",
    "decline_request",
    "earlier_reply",
    "end_session",
    "find_api_token",
    "first_steward_link",
    "forget_replies",
    "found_cooperative",
    "invite",
    "issue_api_token",
    "join_with_invitation",
    "keep_reply",
    "leave",
    "mail_decision",
    "mail_invitation",
    "propose_credit_issue",
    "propose_policy",
    "record_act",
    "refuse_credit_issue",
    "require",
    "revoke_api_token",
    "revoke_invitation",
    "send_credits",
    "set_roles",
    "use_first_steward_link",
    "withdraw_request",
]
