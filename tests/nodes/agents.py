"""An agent as the coordinator sees it: a key, a node, and signed requests over Django's test client."""

import json

from django.test import Client

from common.clock import database_now
from nodes import services
from nodes.models import Node
from opengrid import benchmark as benchmarks
from opengrid import http_signatures, keys, messages

HOST = "testserver"
CHECKSUM_7 = benchmarks.checksum_of(7)


def a_key():
    return keys.PrivateKey.generate()


def join_request(token, private=None, **changes):
    private = private or a_key()
    fields = {
        "token": token,
        "public_key": private.public_text,
        "proof": keys.join_proof(private, token),
        "name": "shed",
        "agent_version": "0.1.0",
    }
    return messages.JoinRequest(**(fields | changes))


def joined(operator, now, *, private=None, **terms):
    """A node of `operator` that has joined and nothing else."""
    terms = {"floor_price_micro": 1_000} | terms
    _, secret = services.create_join_token(membership=operator, now=now, **terms)
    return services.join(request=join_request(secret, private), now=now)


def record(node, *, sandbox=None, hardware=None, benchmark=None, **changes):
    """A capability record as a healthy machine of four cores states it."""
    fields = {
        "node_id": node.pk,
        "made_at": "2026-11-21T12:00:00.000000Z",
        "agent_version": "0.1.0",
        "hardware": messages.Hardware(
            **{
                "cores": 4,
                "memory_mib": 8192,
                "disk_mib": 50_000,
                "architecture": "x86_64",
                "cpu_model": "a processor",
                "kernel": "6.1",
                "boot_id": "boot-1",
            }
            | (hardware or {})
        ),
        "benchmark": messages.Benchmark(
            **{
                "version": 1,
                "core_milli": 1100,
                "total_milli": 4200,
                "threads": 4,
                "seconds_milli": 3000,
                "seed": 7,
                "checksum": CHECKSUM_7,
            }
            | (benchmark or {})
        ),
        "sandbox": messages.SandboxRecord(
            **{
                "executor": "bwrap",
                "version": "0.8.0",
                "passed": True,
                "net_isolated": True,
                "fs_isolated": True,
                "mem": "cgroup1",
                "pids": "cgroup",
                "disk": "hard",
                "seccomp": True,
            }
            | (sandbox or {})
        ),
        "runners": (messages.Runner.ONNX, messages.Runner.PYTHON),
        "runtime_digest": "sha256:" + "a" * 64,
    }
    return messages.CapabilityRecord(**(fields | changes))


def signed(private, capability_record):
    signature = keys.sign_document(private, keys.CAPABILITIES, capability_record.document())
    return messages.SignedCapabilities(record=capability_record, signature=signature)


def working(operator, now, *, private=None, **terms):
    """A node that has joined and whose capabilities were accepted."""
    private = private or a_key()
    node = joined(operator, now, private=private, **terms)
    return services.record_capabilities(node=node, signed=signed(private, record(node)), now=now)


class Agent:
    """Sends requests signed with one key."""

    def __init__(self, node, private, client=None):
        self.node, self.private, self.client = node, private, client or Client()

    def headers(self, method, path, body=b"", **changes):
        fields = {
            "method": method,
            "url": f"http://{HOST}{path}",
            "body": body,
            "private": self.private,
            "key_id": str(self.node.pk),
            "created": database_now(),
            "nonce": http_signatures.new_nonce(),
        }
        return http_signatures.sign_request(**(fields | changes))

    def send(self, method, path, body=b"", headers=None, content_type="application/json", **changes):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        headers = self.headers(method, path, body, **changes) if headers is None else headers
        return self.client.generic(method, path, body, content_type=content_type, headers=headers)


def an_agent(operator, *, working_now=False, **terms):
    """An agent and its node, by the database's clock as the API uses it."""
    private = a_key()
    make = working if working_now else joined
    return Agent(make(operator, database_now(), private=private, **terms), private)


def node_count():
    return Node.objects.count()
