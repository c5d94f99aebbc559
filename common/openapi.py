"""How pydantic messages appear in answers and in the OpenAPI document: one rule for all APIs.

Fields with a default may be left out of a request and are always present in a reply, so that the
two directions are two components.
"""

from typing import Any, Final

import pydantic
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter
from pydantic.json_schema import GenerateJsonSchema, model_json_schema
from rest_framework.response import Response

PROBLEM: Final = "application/problem+json"
TEXT: Final = r"^[^\x00]*$"
"""The pattern of any text but what PostgreSQL cannot hold."""

IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(\*|"[0-9a-f]{32}")$'},
    OpenApiParameter.HEADER,
    required=True,
    description="The version you saw, as its ETag was; `*` changes any version.",
)


ETAG = OpenApiParameter(
    "ETag",
    {"type": "string", "pattern": r'^"[0-9a-f]{32}"$'},
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="The version, for If-Match.",
)


class _Schema(GenerateJsonSchema):
    """A reply always has all its fields, those with defaults included."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Whether the field must be there, in this direction."""
        return self.mode == "serialization" or super().field_is_required(field, total)


class MessageExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Replaces drf-spectacular's own, which describes requests as if they were replies."""

    target_class = "pydantic.BaseModel"
    match_subclasses = True
    priority = 1

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        """The message's own name; drf-spectacular appends Request to that of a request."""
        name: str = self.target.__name__
        return name.removesuffix("Request") if direction == "request" else name

    def get_identity(self, auto_schema: AutoSchema, direction: str) -> str:
        """Messages go by their names alone (a test keeps them unique), nested or not."""
        name = self.get_name(auto_schema, direction)
        return f"{name}Request" if direction == "request" else name

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """The JSON Schema of the message; nested messages become components of their own.

        Generators of clients name types by their titles, so that a title is the component's own name.
        """
        is_request = direction == "request"
        suffix = "Request" if is_request else ""
        schema = model_json_schema(
            self.target,
            ref_template=f"#/components/schemas/{{model}}{suffix}",
            mode="validation" if is_request else "serialization",
            schema_generator=_Schema,
        )
        if is_request:
            _describe_text(schema)
        for name, nested in schema.pop("$defs", {}).items():
            nested["title"] = f"{name}{suffix}"
            auto_schema.registry.register_on_missing(
                ResolvedComponent(  # type: ignore[no-untyped-call]
                    name=f"{name}{suffix}",
                    type=ResolvedComponent.SCHEMA,
                    object=f"{name}{suffix}",
                    schema=nested,
                )
            )
        schema["title"] = self.get_identity(auto_schema, direction)
        return schema


def _describe_text(schema: Any) -> None:
    """Say of every text in a request that it holds no U+0000, which `common.bodies` refuses."""
    if isinstance(schema, list):
        for part in schema:
            _describe_text(part)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const", "format"}:
        schema["pattern"] = TEXT
    if isinstance(schema.get("additionalProperties"), dict):
        schema.setdefault("propertyNames", {"pattern": TEXT})
    for part in schema.values():
        _describe_text(part)


class Problem(pydantic.BaseModel):
    """RFC 9457 problem: `code` is stable and typed, `detail` says what was found and what is accepted."""

    model_config = pydantic.ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str


def problems(*statuses: int) -> dict[tuple[int, str], type[Problem]]:
    """The refusals of an address, for `extend_schema(responses=...)`."""
    return {(status, PROBLEM): Problem for status in statuses}


def describe_all(result: dict[str, Any], generator: object, request: object, public: bool) -> dict[str, Any]:
    """What every operation may answer, as a hook of drf-spectacular: 400, and 429 because all are limited."""
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    unreadable = {"description": "The request cannot be read, or is not meant for this host.", "content": content}
    too_many = {
        "description": "Too many requests; `Retry-After` says when the next one is served.",
        "headers": {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
        "content": content,
    }
    for path in result["paths"].values():
        for operation in path.values():
            found = {"400": unreadable, **operation["responses"], "429": too_many}
            operation["responses"] = dict(sorted(found.items()))
    return result


def query(message: type[pydantic.BaseModel]) -> list[OpenApiParameter]:
    """The fields of a query message, for `extend_schema(parameters=...)`."""
    schema = model_json_schema(message, mode="validation")
    _describe_text(schema)
    required = schema.get("required", ())
    return [_parameter(name, dict(found), name in required) for name, found in schema["properties"].items()]


def _parameter(name: str, schema: dict[str, Any], is_required: bool) -> OpenApiParameter:
    description = str(schema.pop("description", ""))
    schema.pop("title", None)
    if schema.get("default", ...) is None:
        schema.pop("default")
    kinds = [kind for kind in schema.pop("anyOf", []) if kind != {"type": "null"}]
    if kinds:
        [only] = kinds
        schema |= only
    return OpenApiParameter(name, schema, required=is_required, description=description)


def reply(message: pydantic.BaseModel, status: int = 200) -> Response:
    """The JSON answer that carries a message."""
    return Response(message.model_dump(mode="json"), status=status)
