"""What people of the cooperative do for the stories of the API; a process of its own, as Django needs.

`python -m tests.contract.founding invite` prints the token of an invitation, `... credit EMAIL` gives a member credit,
`... crowd SLUG SELVES` founds the campaign's cooperative. It works on the platform of COMMONGRID_RUN_DIR, whose people
are those of the demo.
"""

import argparse
import json
import os
import sys

import django

from common.money import MICRO
from tests.contract import crowd

STEWARD = "ada@example.org"
CREDIT_MICRO = 20 * MICRO


def invite():
    """The token of an invitation that anybody may accept as a member."""
    from accounts import services as accounts
    from common.clock import database_now

    steward = _membership(STEWARD)
    _, token = accounts.invite(by=steward, roles=["MEMBER"], now=database_now())
    return {"token": token}


def credit(email):
    """A steward's first credit for a member."""
    from accounts import services as accounts
    from common.clock import database_now

    accounts.propose_credit_issue(
        by=_membership(STEWARD),
        to_address=_membership(email).wallet,
        amount_micro=CREDIT_MICRO,
        reason="first credit for a new member",
        now=database_now(),
    )
    return {"amount_micro": CREDIT_MICRO}


def _membership(email):
    from accounts.models import Membership

    return Membership.objects.select_related("user", "cooperative").get(user__email=email)


def main():
    """Do one act and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.founding", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    acts.add_parser("invite")
    acts.add_parser("credit").add_argument("email")
    crowded = acts.add_parser("crowd")
    crowded.add_argument("slug")
    crowded.add_argument("selves", type=int)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    match arguments.act:
        case "invite":
            facts = invite()
        case "credit":
            facts = credit(arguments.email)
        case "crowd":
            facts = crowd.found(arguments.slug, arguments.selves)
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
