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

__all__ = [
    "AlreadyAdopted",
    "AlreadyDecided",
    "AlreadyMember",
    "EmailTaken",
    "InvitationExpired",
    "InvitationForAnother",
    "InvitationRevoked",
    "InvitationUsed",
    "IssuanceLimitReached",
    "IssueRefused",
    "LastSteward",
    "NotAllowed",
    "NothingChanges",
    "PolicyRefused",
    "PolicySuperseded",
    "ReasonNeeded",
    "SecondStewardNeeded",
    "SetupLinkExpired",
    "SlugTaken",
    "TokenRefused",
    "UnknownRole",
    "accept_invitation",
    "acting",
    "adopt_policy",
    "approve_credit_issue",
    "check_usable",
    "checked_reason",
    "create_person",
    "find_api_token",
    "first_steward_link",
    "found_cooperative",
    "invite",
    "issue_api_token",
    "leave",
    "propose_credit_issue",
    "propose_policy",
    "record_act",
    "refuse_credit_issue",
    "require",
    "revoke_api_token",
    "revoke_invitation",
    "set_roles",
    "use_first_steward_link",
]
