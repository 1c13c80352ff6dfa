"""The descriptions for programs: OpenAPI by its official schema, AsyncAPI by the rules that its references must keep."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from axis.broker import topology
from axis.dispatch import outbound
from axis.webhooks import Kind
from scripts import interfaces

OFFICE = "H56.7"
DOCUMENT = interfaces.asyncapi(OFFICE)


def test_openapi_is_valid() -> None:
    validate(interfaces.openapi())


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


@pytest.mark.parametrize("document", [DOCUMENT, interfaces.openapi()], ids=["asyncapi", "openapi"])
def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    found = set(_references(document))
    assert len(found) > 5
    for reference in found:
        part: Any = document
        for step in reference.removeprefix("#/").split("/"):
            part = part[step.replace("~1", "/").replace("~0", "~")]


def test_asyncapi_names_what_an_office_may_use_and_nothing_else() -> None:
    keys = {name: one for name, one in DOCUMENT["channels"].items() if name not in ("inbox", "webhook")}
    assert set(keys) == set(topology.OFFICE_KEYS)
    assert {one["bindings"]["amqp"]["exchange"]["name"] for one in keys.values()} == {topology.office_exchange(OFFICE)}
    assert DOCUMENT["channels"]["inbox"]["bindings"]["amqp"]["queue"]["name"] == topology.inbox(OFFICE)
    assert set(DOCUMENT["channels"]["webhook"]["messages"]) == {kind.value for kind in Kind}


def test_operations_use_messages_of_their_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert operation["messages"]
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])


def test_headers_of_an_envelope_are_those_that_dispatch_sends() -> None:
    source = Path(outbound.__file__).read_text(encoding="utf-8")
    headers = DOCUMENT["components"]["messages"]["envelope"]["headers"]["required"]
    assert all(f'"{name}": first.' in source for name in headers)
