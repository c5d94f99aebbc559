"""Founds the cooperative of a fault run through the platform's own services; a process of its own, as Django needs.

`python -m tests.faults.founding people` prints tokens and ids as JSON. `... share NODE` divides a node's earnings.
It works on the platform of COMMONGRID_RUN_DIR.
"""

import argparse
import json
import os
import sys

import django

PRICES_MICRO = (613_337, 487_811, 359_999)
"""Floors of the three machines, per core-hour: no round numbers, so that every share is rounded."""
NAMES = ("olgas-workstation", "pavels-server", "lous-box")
OPERATORS_PART_BP = 6_667


def found() -> dict[str, object]:
    """Two stewards, a member with credit, a publisher, three operators, each with a join token."""
    from common.clock import database_now
    from demo import people

    crowd = people.found(now=database_now(), is_checked=True)
    now = database_now()
    joining = [
        people.join_token(operator, name=name, price_micro=price, now=now)
        for operator, name, price in zip(crowd.operators, NAMES, PRICES_MICRO, strict=True)
    ]
    return {
        "cooperative_id": crowd.cooperative.pk,
        "member_id": crowd.member.pk,
        "issued_micro": {
            crowd.member.wallet: people.MEMBER_CREDIT_MICRO,
            f"coop:{crowd.cooperative.pk}:assurance": people.ASSURANCE_CREDIT_MICRO,
        },
        "member_token": people.api_token(crowd.member, ["jobs:read", "jobs:write"], now=now),
        "publisher_token": people.api_token(crowd.publisher, ["models:write"], now=now),
        "join_tokens": joining,
    }


def share(node_id: int) -> dict[str, object]:
    """Let the operator of a node give a third of its earnings to the publisher."""
    from nodes import services as nodes
    from nodes.models import Node

    node = Node.objects.select_related("operator__cooperative").get(pk=node_id)
    partner = node.operator.cooperative.memberships.get(user__email="zoe@example.org")
    parts = {node.operator_id: OPERATORS_PART_BP, partner.pk: 10_000 - OPERATORS_PART_BP}
    nodes.set_shares(by=node.operator, node=node, shares=parts)
    return {"node_id": node_id, "shares_bp": list(parts.values())}


def main() -> None:
    """Do one act and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.founding", description=__doc__)
    acts = parser.add_subparsers(dest="act", required=True)
    acts.add_parser("people")
    acts.add_parser("share").add_argument("node", type=int)
    arguments = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    facts = found() if arguments.act == "people" else share(arguments.node)
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
