"""The rule book of a cooperative: one steward proposes a version, a second one adopts it.

A version is proposed against the version in force. Once another one has been adopted, it is superseded
and has to be proposed anew, so that nobody adopts changes that were not on the screen.
"""

from django.db import transaction

from accounts import queries
from accounts.core import policy
from accounts.models import Membership, PolicyAdoption, PolicyVersion, StewardAct
from accounts.services import acts, permissions
from common import versions
from common.errors import Conflict, Invalid, NotFound
from common.words import said as _


class PolicyRefused(Invalid):
    """The rules contradict themselves or leave their bounds; `extra["problems"]` says which."""

    code = "policy_refused"
    title = _("These rules cannot be proposed")


class NothingChanges(Conflict):
    """The proposed rules are the rules in force."""

    code = "nothing_changes"
    title = _("These are the rules in force")


class AlreadyAdopted(Conflict):
    """The version is or was the rule."""

    code = "already_adopted"
    title = _("This version has been adopted")


class PolicySuperseded(Conflict):
    """Another version has been adopted since this one was proposed."""

    code = "policy_superseded"
    title = _("Another version has been adopted meanwhile")


@transaction.atomic
def propose_policy(*, by: Membership, rules: policy.Rules, reason: str, version: str | None = None) -> PolicyVersion:
    """Propose the cooperative's next rules; with `version`, only while the rules that were seen are in force.

    Raises: NotAllowed, PolicyRefused, NothingChanges, versions.ChangedMeanwhile.
    """
    by = permissions.acting(by, "policy.propose")
    checked, reason = _checked(rules), reason.strip()
    if not 0 < len(reason) <= 500:
        raise PolicyRefused(_("a reason of 1 to 500 characters is needed"), extra={"field": "reason"})
    in_force, current = queries.current_policy(by.cooperative_id)
    versions.check(version, policy.version_of(in_force))
    changes = policy.diff(current, checked)
    if not changes:
        raise NothingChanges(_("every rule is as in version %(in_force)s; change at least one", in_force=in_force))
    newest = queries.policy_history(by.cooperative_id).values_list("number", flat=True)[:1]
    proposed = PolicyVersion.objects.create(
        cooperative=by.cooperative,
        number=newest[0] + 1,
        replaces=in_force,
        rules=policy.as_dict(checked),
        reason=reason,
        proposed_by=by,
    )
    acts.record_act(
        by=by,
        act=StewardAct.Act.PROPOSE_POLICY,
        subject=proposed,
        before={change.rule: change.before for change in changes},
        after={change.rule: change.after for change in changes},
        reason=reason,
    )
    return proposed


@transaction.atomic
def adopt_policy(*, by: Membership, version: PolicyVersion) -> PolicyAdoption:
    """Make a proposed version the rule.

    Raises: NotAllowed, NotFound, SecondStewardNeeded, AlreadyAdopted, PolicySuperseded.
    """
    by = permissions.acting(by, "policy.adopt")
    if version.cooperative_id != by.cooperative_id:
        raise NotFound(_("there is no such version of your cooperative's rules"))
    version = queries.policy_version(by.cooperative_id, version.number)
    in_force, _rules = queries.current_policy(by.cooperative_id)
    if hasattr(version, "adoption"):
        raise AlreadyAdopted(
            _(
                "version %(number)s was adopted by %(adopted_by)s",
                number=version.number,
                adopted_by=version.adoption.adopted_by.user,
            )
        )
    if version.replaces != in_force:
        raise PolicySuperseded(
            _(
                "version %(number)s was proposed against version %(replaces)s; version %(in_force)s is in"
                " force now. Propose it anew",
                number=version.number,
                replaces=version.replaces,
                in_force=in_force,
            ),
        )
    permissions.check_second(by, version.proposed_by)
    adoption = PolicyAdoption.objects.create(
        version=version,
        cooperative=by.cooperative,
        number=version.number,
        replaces=version.replaces,
        proposed_by=version.proposed_by,
        adopted_by=by,
    )
    acts.record_act(
        by=by,
        act=StewardAct.Act.ADOPT_POLICY,
        subject=version,
        before={"in_force": in_force},
        after={"in_force": version.number},
        reason=version.reason,
    )
    return adoption


def _checked(rules: policy.Rules) -> policy.Rules:
    try:
        return policy.parse(policy.as_dict(rules))
    except policy.RulesRefused as error:
        problems = {rule: {"code": p.code, "detail": str(p)} for rule, p in error.problems.items()}
        raise PolicyRefused(str(error), extra={"problems": problems}) from error
