"""The addresses of nodes and registry are described whole: bodies, refusals, and how to sign."""

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from opengrid import messages


@pytest.fixture(scope="module")
def document():
    GENERATOR_STATS.reset()
    return SchemaGenerator().get_schema(request=None, public=True)


def resolved(document, schema):
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]


def test_the_document_is_valid(document):
    validate_schema(document)


@pytest.mark.parametrize(
    ("path", "method", "name"),
    [
        ("/api/v1/nodes/join", "post", "JoinRequest"),
        ("/api/v1/node/capabilities", "post", "SignedCapabilitiesRequest"),
        ("/api/v1/models/versions", "post", "PublishRequest"),
    ],
)
def test_a_request_may_leave_out_what_has_a_default(document, path, method, name):
    body = document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]

    assert body["$ref"].endswith(f"/{name}")
    assert "protocol" not in resolved(document, body)["required"]


def test_nested_messages_of_requests_and_replies_are_two_components(document):
    schemas = document["components"]["schemas"]

    assert "refusal" not in schemas["SandboxRecordRequest"]["required"]
    assert schemas["CapabilityReply"]["required"] == ["node_state", "sellable_lots", "floor_price_micro", "reason"]


def test_every_reference_leads_somewhere(document):
    names = set(document["components"]["schemas"])

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"].rpartition("/")[2]
            for part in value.values():
                yield from references(part)
        elif isinstance(value, list):
            for part in value:
                yield from references(part)

    assert set(references(document)) <= names


def test_node_addresses_ask_for_a_signature_and_members_for_a_token(document):
    paths = document["paths"]

    assert paths["/api/v1/node/drain"]["post"]["security"] == [{"nodeSignature": []}]
    assert {"apiToken": []} in paths["/api/v1/models"]["get"]["security"]
    assert "nodeSignature" in document["components"]["securitySchemes"]


def test_files_are_octets_and_refusals_are_problems(document):
    put = document["paths"]["/api/v1/blobs/{digest}"]["put"]
    get = document["paths"]["/api/v1/blobs/{digest}"]["get"]

    assert put["requestBody"]["content"] == {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    }
    assert "application/octet-stream" in get["responses"]["200"]["content"]
    assert "application/problem+json" in put["responses"]["413"]["content"]


def all_messages(kind=messages.Message):
    for found in kind.__subclasses__():
        yield found
        yield from all_messages(found)


def test_no_two_messages_share_a_name(document):
    """A component goes by its message's name, so that a second one would hide the first."""
    names = [found.__name__ for found in all_messages()]

    assert sorted(names) == sorted(set(names))


def test_the_document_is_made_without_a_warning(document):
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
