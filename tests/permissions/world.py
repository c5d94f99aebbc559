"""People of every role with something of their own, so that each row of the page can be tried for real.

New kinds of addresses need a value here: `SAMPLES` for what stands in the address, `QUERIES` and `BODIES` for what has
to come with it so that whoever may gets beyond the question whether they may.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from accounts import services as accounts
from accounts.core import roles
from accounts.models import JoinRequest, Membership, User
from common.clock import database_now
from nodes import services as nodes
from opengrid import digests
from registry import services as registry
from tests.dashboard import scenes
from tests.nodes import agents

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc33"
    "0000000049454e44ae426082"
)
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@dataclass
class Caller:
    """Somebody who asks."""

    name: str
    membership: Membership | None = None
    user: User | None = None
    session: str = ""
    scope: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    agent: agents.Agent | None = None
    is_outsider: bool = False
    is_owner: bool = False

    @property
    def is_person(self) -> bool:
        """Signed in with a session."""
        return self.user is not None

    def call(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """The answer to one request."""
        if self.agent is not None:
            data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
            return self.agent.send(method, path, b"" if method in ("GET", "DELETE") else data)
        client = Client(raise_request_exception=False)
        if self.session:
            client.cookies["sessionid"] = self.session
        if isinstance(body, bytes):
            return client.generic(method, path, body, "application/octet-stream", headers=self.headers)
        if method == "POST" and not path.startswith("/api/"):
            return client.post(path, body or {}, headers=self.headers)
        if method == "GET":
            return client.get(path, query, headers=self.headers)
        data = json.dumps(body or {}).encode()
        headers = {"Idempotency-Key": "k", "If-Match": "*", **self.headers}
        return client.generic(method, path, data, "application/json", headers=headers)


class World:
    """Riverside with one person of each role, a job, nodes, money; and Hillside beside it."""

    def __init__(self) -> None:
        now = database_now()
        self.founder = self._founder("riverside", now)
        cooperative = self.founder.cooperative
        self.people = {
            "member": self._join(cooperative, "alice", ["MEMBER"]),
            "operator": self._join(cooperative, "olga", ["MEMBER", "OPERATOR"]),
            "steward": self._join(cooperative, "sam", ["MEMBER", "STEWARD"]),
            "auditor": self._join(cooperative, "ada", ["AUDITOR"]),
        }
        self.outsider = self._founder("hillside", now)
        self.lonely = User.objects.create_user("lonely@example.org", "correct horse battery", display_name="Lonely")
        self.agent = agents.an_agent(self.founder, working_now=True, floor_price_micro=1)
        self.other_agent = agents.an_agent(self.outsider, working_now=True, floor_price_micro=1)
        self._furnish(now)
        self._callers = self._everybody()

    def _founder(self, slug: str, now: Any) -> Membership:
        user = User.objects.create_user(f"{slug}@example.org", "correct horse battery", display_name=slug)
        return accounts.found_cooperative(name=slug, slug=slug, founder=user, now=now).memberships.get()

    def _join(self, cooperative: Any, name: str, held: list[str]) -> Membership:
        user = User.objects.create_user(f"{name}@example.org", "correct horse battery", display_name=name)
        return Membership.objects.create(cooperative=cooperative, user=user, roles=held)

    def _furnish(self, now: Any) -> None:
        """Everything that addresses name belongs to the founder, who has every role but auditor."""
        owner = self.founder
        scenes.credit(owner, owner, 100, now)
        self.version = scenes.a_model_version(owner, now)
        self.job = scenes.a_job(owner, now, version=self.version)
        self.job.spec["disk_mib"] = 64
        self.job.save()
        self.lease = scenes.a_lease(self.agent.node, owner, reference=self.job.reference)
        first, second = self.job.tasks.order_by("index")[:2]
        self.accepted = scenes.an_attempt(first, self.agent.node, self.lease, now, state="SUBMITTED", labels=[1, 2])
        scenes.accept(first, [self.accepted], [], now)
        picture = registry.store_blob(chunks=[PNG], limit_bytes=len(PNG))
        self.picture = self.accepted.outputs.create(name="picture.png", blob=picture)
        self.running = scenes.an_attempt(second, self.agent.node, self.lease, now)
        self.order = scenes.an_order(owner, side="BUY", price_micro=1, lots=1)
        self.invitation, self.invitation_secret = accounts.invite(by=owner, roles=["MEMBER"], now=now)
        self.request = JoinRequest.objects.create(cooperative=owner.cooperative, user=self.lonely, message="hello")
        self.token, _ = accounts.issue_api_token(membership=owner, name="mine", scopes=["jobs:read"], now=now)
        self.join_token, _ = nodes.create_join_token(membership=owner, floor_price_micro=1, now=now)
        self.issue = accounts.propose_credit_issue(
            by=owner, to_address=owner.wallet, amount_micro=900_000 * 10**6, reason="much", now=now
        )
        self.tokens = {
            scope: accounts.issue_api_token(membership=owner, name=scope, scopes=[scope], now=now)[1]
            for scope in roles.SCOPES
        }

    def callers(self, *, everybody: bool = True) -> list[Caller]:
        """Everybody who tries an address; for pages, which know sessions alone, one token and one node will do."""
        if everybody:
            return self._callers
        left_out = {f"token {scope}" for scope in roles.SCOPES[1:]} | {"node of another cooperative"}
        return [caller for caller in self._callers if caller.name not in left_out]

    def _everybody(self) -> list[Caller]:
        def person(name: str, user: User, membership: Membership | None = None, **known: bool) -> Caller:
            client = Client()
            client.force_login(user, backend=BACKEND)
            return Caller(name, membership, user, client.cookies["sessionid"].value, **known)

        return [
            Caller("signed out"),
            *(person(name, membership.user, membership) for name, membership in self.people.items()),
            person("founder", self.founder.user, self.founder, is_owner=True),
            person("of another cooperative", self.outsider.user, self.outsider, is_outsider=True),
            person("without a cooperative", self.lonely),
            *(
                Caller(
                    f"token {scope}",
                    self.founder,
                    scope=scope,
                    headers={"Authorization": f"Bearer {secret}"},
                    is_owner=True,
                )
                for scope, secret in self.tokens.items()
            ),
            Caller("node", agent=self.agent, is_owner=True),
            Caller("node of another cooperative", agent=self.other_agent, is_outsider=True),
        ]

    def samples(self) -> dict[str, Any]:
        """What stands in an address for `<name>`; `(address, name)` where a name means something else there."""
        return {
            "job_id": self.job.pk,
            "node_id": self.agent.node.pk,
            "attempt_id": self.running.pk,
            "output_id": self.accepted.outputs.get(name="labels.npy").pk,
            "order_id": self.order.pk,
            "book_id": self.lease.book_id,
            "membership_id": self.founder.pk,
            "member_id": self.founder.pk,
            "cooperative_id": self.founder.cooperative_id,
            "invitation_id": self.invitation.pk,
            "issue_id": self.issue.pk,
            "version_id": self.version.pk,
            "number": 1,
            "decision": "refuse",
            "object_id": self.founder.pk,
            "slug": "roles",
            "request_id": self.request.pk,
            ("/join/<slug>/", "slug"): "riverside",
            ("/join/<slug>/withdraw/", "slug"): "riverside",
            "pk": 1,
            "session_id": 1,
            ("/cooperative/requests/<request_id>/<decision>/", "decision"): "accept",
            "index": 0,
            "task_index": 0,
            "digest": self.job.tasks.first().input.digest,
            "name": "labels.npy",
            "key": "x",
            "uidb36": "1",
            "token": self.running.token,
            "token_id": self.token.pk,
            ("/docs/<name>", "name"): "errors",
            ("/panels/<name>/<key>/", "name"): "job-state",
            ("/panels/<name>/<key>/", "key"): self.job.pk,
            ("/nodes/joining/<token_id>/", "token_id"): self.join_token.pk,
            ("/jobs/<job_id>/receipts/<attempt_id>/", "attempt_id"): self.accepted.pk,
            ("/jobs/<job_id>/receipts/<attempt_id>/verify/", "attempt_id"): self.accepted.pk,
            ("/jobs/<job_id>/outputs/<output_id>/image/", "output_id"): self.picture.pk,
            ("/invite/<token>/", "token"): self.invitation_secret,
            ("/setup/<token>/", "token"): "no-such-link",
        }

    def query(self, address: str) -> dict[str, str]:
        """What has to stand behind the ? for those who may."""
        preview = {"side": "BUY", "lots": "1", "price_micro": "1000000"}
        return {
            "/api/v1/market/books/<book_id>/preview": preview,
            "/panels/<name>/<key>/": {"membership": str(self.founder.pk)},
            "/wallet/transfer/": {"key": f"job:{self.job.pk}:hold"},
        }.get(address, {})

    def body(self, method: str, address: str) -> Any:
        """What has to be sent by those who may; octets for files, else fields."""
        data = b"some bytes"
        return {
            ("POST", "/cooperative/switch/"): {"membership": self.founder.pk},
            ("POST", "/nodes/<node_id>/terms/"): {"floor_price": "1.00"},
            ("PUT", "/api/v1/nodes/<node_id>/terms"): {"floor_price_micro": 1, "limit_lots": None},
            ("PUT", "/api/v1/nodes/<node_id>/shares"): {
                "shares": [{"member_id": self.founder.pk, "share_bp": 10_000}]
            },
            ("POST", "/api/v1/nodes/<node_id>/appeal"): {"text": "it was the power"},
            ("POST", "/nodes/<node_id>/shares/"): {f"share_{self.founder.pk}": "100"},
            ("PUT", "/api/v1/blobs/<digest>"): data,
            ("PUT", "/api/v1/node/attempts/<attempt_id>/<token>/outputs/<name>"): data,
            ("POST", "/api/v1/node/attempts/<attempt_id>/failure"): {
                "token": self.running.token, "exit_reason": "oom", "detail": "",
            },
            ("POST", "/api/v1/node/attempts/<attempt_id>/result"): self._result(),
        }.get((method, address))  # fmt: skip

    def _result(self) -> dict[str, Any]:
        reference = {"name": "labels.npy", "digest": digests.of_bytes(b"42"), "size_bytes": 2}
        receipt = {
            "attempt_id": self.running.pk, "token": self.running.token, "task_id": self.running.task_id,
            "node_id": self.agent.node.pk, "input_digests": [], "outputs": [reference], "exit_reason": "ok",
            "usage": {"wall_ms": 1, "cpu_ms": 1, "peak_memory_mib": 1},
            "runtime_digest": digests.of_bytes(b"runtime"), "finished_at": "2026-11-21T12:00:00.000000Z",
        }  # fmt: skip
        return {"receipt": receipt, "signature": "A" * 86}
