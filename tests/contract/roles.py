"""The four who ask: a stranger, a member's program, an operator's program with its nodes, a steward in a session."""

import itertools
import time
from datetime import UTC, datetime

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from requests.auth import AuthBase

from opengrid import http_signatures, keys

NODE_ADDRESSES = ("/api/v1/node", "/api/v1/node/")
TIMEOUT_SECONDS = 30
LISTS = {
    "cooperative_id": ("cooperatives", "cooperatives", "id"),
    "job_id": ("jobs", "jobs", "id"),
    "node_id": ("nodes", "nodes", "id"),
    "book_id": ("market/books", "books", "id"),
    "order_id": ("market/orders", "orders", "id"),
    "token_id": ("tokens", "tokens", "id"),
    "member_id": ("cooperatives/{}/members", "members", "id"),
    "invitation_id": ("cooperatives/{}/invitations", "invitations", "id"),
    "issue_id": ("cooperatives/{}/credit-issues", "credit_issues", "id"),
    "number": ("cooperatives/{}/policies", "policies", "number"),
}
"""What an address may name -> the list that has it."""


class NothingLeft(RuntimeError):
    """The campaign has used up every self of a role."""


class Role(AuthBase):
    """Somebody who asks; puts their credentials on each request, also when it has been made ready to send."""

    name = "stranger"
    is_known = False

    def __init__(self, url):
        # a connection for each: one that waits may be closed by the server in the moment it is used again
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, limits=limits)

    def headers(self, method, url, body):
        """What the credentials add to a request."""
        return {}

    def __call__(self, request):
        request.headers.update(self.headers(request.method, request.url, _octets(request.body)))
        return request

    def ask(self, path):
        """A request of its own, which the campaign does not count."""
        url = str(self._http.base_url.join(path))
        return self._http.get(url, headers=self.headers("GET", url, b""))

    def renew(self):
        """Take up fresh credentials where the old ones no longer serve. Raises: NothingLeft."""

    def known(self, cooperative_id):
        """Name in an address -> what is really there, as this role sees it."""
        found = {}
        for name, (path, rows, field) in LISTS.items():
            answer = self.ask(f"/api/v1/{path.format(cooperative_id)}")
            if answer.status_code == httpx.codes.OK:
                found[name] = [row[field] for row in answer.json()[rows]]
        return {name: values for name, values in found.items() if values}


class Known(Role):
    """Somebody with an account, and with spare selves for when it is lost."""

    is_known = True

    def __init__(self, url, selves):
        super().__init__(url)
        self._selves = iter(selves)
        self.take_up(next(self._selves))

    def take_up(self, self_):
        """Become one of the spare selves."""
        self.self = self_

    def is_well(self):
        """Whether these credentials still open what they did."""
        found = self.ask("/api/v1/me")
        return found.status_code == httpx.codes.OK and self._has_roles(found.json())

    def renew(self):
        while not self.is_well():
            following = next(self._selves, None)
            if following is None:
                raise NothingLeft(f"no {self.name} is left")
            self.take_up(following)

    def _has_roles(self, me):
        return me["acting_as"] is not None


class Member(Known):
    """A member's program with every scope."""

    name = "member"

    def headers(self, method, url, body):
        return {"Authorization": f"Bearer {self.self['token']}"}


class Operator(Member):
    """An operator's program, and its nodes, whose requests are signed."""

    name = "operator"

    def take_up(self, self_):
        super().take_up(self_)
        self._nodes = iter(self_["nodes"])
        self._take_node(next(self._nodes))

    def headers(self, method, url, body):
        path = httpx.URL(url).path
        if path != NODE_ADDRESSES[0] and not path.startswith(NODE_ADDRESSES[1]):
            return super().headers(method, url, body)
        return http_signatures.sign_request(
            method=method,
            url=url,
            body=body,
            private=self._key,
            key_id=str(self.node_id),
            created=datetime.fromtimestamp(time.time(), UTC),
            nonce=http_signatures.new_nonce(),
        )

    def is_well(self):
        while self.ask("/api/v1/node").status_code != httpx.codes.OK:
            following = next(self._nodes, None)
            if following is None:
                return False
            self._take_node(following)
        return super().is_well()

    def _take_node(self, node):
        self.node_id = node["id"]
        self._key = keys.PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(node["key"])))


class Steward(Known):
    """A steward in a browser's session, as the stewards' acts need it."""

    name = "steward"

    def headers(self, method, url, body):
        return {"Cookie": f"sessionid={self.self['session']}", "X-CSRFToken": self.self["csrf"]}

    def _has_roles(self, me):
        return "policy.propose" in me["permissions"]


def all_of(url, facts):
    """The four, with the credentials that `crowd.found` made."""
    return [
        Role(url),
        Member(url, facts["member"]),
        Operator(url, facts["operator"]),
        Steward(url, facts["steward"]),
    ]


def _octets(body):
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b"".join(itertools.chain(body))
