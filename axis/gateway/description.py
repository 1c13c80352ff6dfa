"""Description: what OpenAPI says of the gateway, beside what the framework finds out by itself.

Every operation gets what is true of all of them: who may call, and each no that
it may answer, a problem document. A route says of itself only what it alone has.

Spec: OpenAPI 3.1.0; RFC 9457 (problems); RFC 6750 (bearer tokens).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from axis.gateway.bodies import Problem

_REF = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
_READS = frozenset({"get", "head"})
_OWN = frozenset({"HTTPValidationError", "ValidationError"})  # The framework's own no, which nobody is given.

_RETRY_AFTER = {
    "required": True,
    "description": "After how many seconds to try again.",
    "schema": {"type": "integer", "minimum": 1},
}
_CHALLENGE = {"required": True, "description": "RFC 9110 §11.6.1.", "schema": {"type": "string"}}

# What an operation may answer beside what it is for: status, why, headers.
_May = tuple[str, str, dict[str, Any]]
_ALWAYS: tuple[_May, ...] = (
    ("401", "Neither token nor certificate, or one that proves nothing.", {"WWW-Authenticate": _CHALLENGE}),
    ("429", "So many requests of this office are being served.", {"Retry-After": _RETRY_AFTER}),
    ("500", "A fault of the axis.", {"Retry-After": _RETRY_AFTER}),
    ("503", "Not now: a room of the axis cannot be used.", {"Retry-After": _RETRY_AFTER}),
)
_WITH_PARAMETERS: tuple[_May, ...] = (("400", "A parameter is not valid.", {}),)
_WITH_A_PLACE: tuple[_May, ...] = (("404", "It is not there, or it is not this office's.", {}),)
_WRITING: tuple[_May, ...] = (("403", "The office may not do this now.", {}),)
_WITH_A_BODY: tuple[_May, ...] = (
    ("400", "What was brought is not valid.", {}),
    ("408", "Nothing came for a minute.", {}),
    ("409", "It does not fit what is there.", {}),
    ("413", "It is too large.", {}),
    ("415", "It is compressed, or of another kind.", {}),
    ("422", "It was judged, and refused.", {}),
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How some operations know their callers, and how they say no."""

    no: Mapping[str, Any]  # Content of an answer.
    security: tuple[tuple[str, ...], ...]  # Names of schemes, each of which is enough; together where several are one.
    schemes: Mapping[str, Mapping[str, Any]]
    schemas: Mapping[str, Any]

    @classmethod
    def of(cls, no: type[BaseModel], headers: Mapping[str, tuple[str, str]]) -> "Manner":
        """Return a manner of its own.

        Args:
            no: What is answered, as JSON.
            headers: By which a caller is known: name of the scheme, header, what it holds.
        """
        schema = no.model_json_schema(ref_template=_REF, mode="serialization")
        return cls(
            no={"application/json": {"schema": {"$ref": _REF.format(model=no.__name__)}}},
            security=(tuple(headers),),
            schemes={
                name: {"type": "apiKey", "in": "header", "name": header, "description": said}
                for name, (header, said) in headers.items()
            },
            schemas=schema.pop("$defs", {}) | {no.__name__: schema},
        )


_USUAL = Manner(
    no=_PROBLEM,
    security=(("token",), ("certificate",)),
    schemes={
        "token": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Signed with the office's registered key; lives for five minutes (docs/protocol/keys.md 6).",
        },
        "certificate": {
            "type": "mutualTLS",
            "description": "For the office's registered key, where the gateway itself serves TLS (docs/protocol/keys.md 6.1).",
        },
    },
    schemas={},
)


def describe(app: FastAPI, in_front: Mapping[str, Mapping[str, Any]], others: Mapping[str, Manner]) -> None:
    """Let an application describe itself whole.

    Args:
        app: The application.
        in_front: Paths that are served before the framework sees them, as OpenAPI says them.
        others: Manners of their own, by the beginning of a path.
    """
    found_by_the_framework = app.openapi

    def whole() -> dict[str, Any]:
        if app.openapi_schema is None or "Problem" not in app.openapi_schema["components"]["schemas"]:
            app.openapi_schema = _completed(found_by_the_framework(), in_front, others)
        return app.openapi_schema

    app.openapi = whole  # type: ignore[method-assign]


def _completed(
    said: dict[str, Any], in_front: Mapping[str, Mapping[str, Any]], others: Mapping[str, Manner]
) -> dict[str, Any]:
    parts = said.setdefault("components", {})
    schemas = {name: schema for name, schema in parts.get("schemas", {}).items() if name not in _OWN}
    problem = Problem.model_json_schema(ref_template=_REF)
    schemas |= problem.pop("$defs") | {"Problem": problem}
    manners = (_USUAL, *others.values())
    for manner in manners:
        schemas |= manner.schemas
    parts["schemas"] = dict(sorted(schemas.items()))
    parts["securitySchemes"] = {name: scheme for manner in manners for name, scheme in manner.schemes.items()}

    def of(path: str) -> Manner:
        return next((manner for begin, manner in others.items() if path.startswith(begin)), _USUAL)

    said["paths"] = {
        path: {method: _operation(method, operation, of(path)) for method, operation in operations.items()}
        for path, operations in sorted((dict(in_front) | said["paths"]).items())
    }
    return said


def _operation(method: str, said: Mapping[str, Any], manner: Manner) -> dict[str, Any]:
    """Return an operation with all that is true of every one like it."""
    parameters = said.get("parameters", ())
    answers = {
        status: answer if status < "400" or "content" in answer else answer | {"content": dict(manner.no)}
        for status, answer in said["responses"].items()
        if "HTTPValidationError" not in str(answer)
    }
    mays = [
        *_ALWAYS,
        *(_WRITING if method not in _READS else ()),
        *(_WITH_A_BODY if "requestBody" in said else ()),
        *(_WITH_PARAMETERS if parameters else ()),
        *(_WITH_A_PLACE if any(one["in"] == "path" for one in parameters) else ()),
    ]
    for status, why, headers in mays:
        answers.setdefault(status, _no(why, headers, manner.no if method != "head" else {}))
    whole = {name: part for name, part in said.items() if name != "description"}
    if "description" in said:  # The first line of a docstring says it better than the name of a function.
        whole["summary"] = said["description"].partition("\n")[0]
    return whole | {
        "responses": dict(sorted(answers.items())),
        "security": [{name: [] for name in schemes} for schemes in manner.security],
    }


def no(why: str, headers: Mapping[str, Any] | None = None, *, is_shown: bool = True) -> dict[str, Any]:
    """Return how OpenAPI says a no; to HEAD it has no body."""
    return _no(why, headers, _PROBLEM if is_shown else {})


def _no(why: str, headers: Mapping[str, Any] | None, content: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"description": why}
    if headers:
        said["headers"] = dict(headers)
    return said | ({"content": dict(content)} if content else {})
