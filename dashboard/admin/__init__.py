"""The stewards' console, at /console/. What it shows stands here, section by section, and nowhere else."""

from accounts.models import CreditIssue, Invitation, JoinRequest, Membership, PolicyVersion, StewardAct
from dashboard.admin import machines, members, money, publications, rules, trail, work
from dashboard.admin.site import Console
from nodes.models import Node
from registry.models import ModelVersion
from reputation.models import Evidence
from scheduler.models import Job

console = Console(name="admin")
console.disable_action("delete_selected")
console.register(Membership, members.Members)
console.register(Invitation, members.Invitations)
console.register(JoinRequest, members.JoinRequests)
console.register(Node, machines.Nodes)
console.register(ModelVersion, publications.Versions)
console.register(PolicyVersion, rules.Policies)
console.register(CreditIssue, money.Credit)
console.register(Job, work.Jobs)
console.register(Evidence, work.FoundEvidence)
console.register(StewardAct, trail.Trail)
