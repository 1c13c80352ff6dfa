"""Interfaces: what the axis speaks, for programs that read such descriptions.

`openapi.json` is what the gateway says of itself; `asyncapi.yaml` is made of the
layout at the broker, the kinds of messages and the kinds of webhooks. Both are
written by `scripts.tables` with the other pages of the reference.

Spec: OpenAPI 3.1.0; AsyncAPI 3.0.0 and its AMQP binding 0.3.0; docs/protocol/broker.md; docs/protocol/webhooks.md.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import yaml

from axis import gateway
from axis.broker import carried, topology
from axis.intake import Allowance
from axis.receipts import bundle
from axis.webhooks import KINDS, Allowed

_MADE = "# Written by `make docs` from the code. Edits here are lost.\n"
_BINDING = "0.3.0"

_HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_TEXT = {"type": "string"}
_FILES = {"type": "string", "pattern": "^[0-9a-f]{64} [1-9][0-9]*(, [0-9a-f]{64} [1-9][0-9]*){0,15}$"}
_TAKES = {
    carried.TAKES_FILES: {"type": "integer", "minimum": 0, "maximum": carried.MOST_BYTES}
}  # Those of the axis say it.
_OPTIONAL = (carried.FILES, carried.TAKES_FILES)

# The messages at the broker, by name: type, content type, what it is, headers. docs/protocol/broker.md 3, 4, 7, 9.
_MESSAGES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "submission": (
        "envelope",
        "application/xml",
        "A sealed envelope; its attachments were uploaded before, or follow it.",
        {"files": _FILES},
    ),
    "envelope": (
        "envelope",
        "application/xml",
        "A sealed envelope for this office; small attachments may follow it.",
        {
            "envelope-id": _ID,
            "envelope-digest": _HEX,
            "attempt": {"type": "integer", "minimum": 1},
            "previous-receipt": _HEX,
            "files": _FILES,
        },
    ),
    "receipt": (bundle.RECEIPT, "application/xml", "One signed receipt (schemas/receipt-1.xsd).", _TAKES),
    "receipts": (
        bundle.RECEIPTS,
        "application/x-netstrings",
        f"Signed receipts, each as a netstring; at most {bundle.MOST}, and {bundle.MOST_BYTES} bytes.",
        _TAKES,
    ),
    "heartbeat": ("heartbeat", "application/json", "That an office is there; every 30 s.", {}),
}
_BEAT = {
    "type": "object",
    "required": ["office", "version", "adapter", "at"],
    "properties": {
        "office": _TEXT,
        "version": _TEXT,
        "adapter": _TEXT,
        "at": {"type": "string", "format": "date-time"},
        "files": {"type": "integer", "minimum": 0, "maximum": carried.MOST_BYTES},
    },
}
# What an office publishes under each of its routing keys, and what it finds in its inbox.
_PUBLISHED = {
    "submit": ("submission",),
    "express": ("submission",),
    "later": ("submission",),
    "receipt": ("receipt", "receipts"),
    "heartbeat": ("heartbeat",),
}
_FOUND = ("envelope", "receipt", "receipts")


def pages() -> dict[str, str]:
    """Return the descriptions: name of the file, content."""
    return {
        "openapi.json": json.dumps(openapi(), ensure_ascii=False, indent=1) + "\n",
        "asyncapi.yaml": _MADE
        + yaml.dump(asyncapi("H56.112"), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120),
    }


class _Plain(yaml.SafeDumper):
    """Writes everything where it stands: a reader should not have to look for anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never refer to what was written before."""
        return True


def openapi() -> dict[str, Any]:
    """Return what the gateway says of itself, with nothing behind it."""
    nothing = cast("Any", None)
    app = gateway.build(
        intake=nothing,
        answers=nothing,
        ledger=nothing,
        spool=nothing,
        roll=nothing,
        metrics_text=nothing,
        ready=nothing,
        attachment_bytes=0,
        per_office=0,
        allowance=Allowance(burst=1, per_second=1),
        hooks=gateway.Terms(allowed=Allowed(), most=0, overlap=timedelta()),
    )
    return app.openapi()


def asyncapi(office: str) -> dict[str, Any]:
    """Return what one office publishes and reads at the broker, and what it is told by webhooks."""
    plan = topology.province([office])
    own = [one for one in plan.bindings if one.exchange == topology.office_exchange(office)]
    kinds = [kind.value for kind in KINDS]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Document axis",
            "version": "1",
            "description": f"What the office {office} (for example) publishes and reads over AMQP 0-9-1, and what it is "
            "told by webhooks. docs/protocol/broker.md and webhooks.md say what each is for. A large body is packed (broker.md 8).",
        },
        "defaultContentType": "application/xml",
        "channels": {
            **{one.key: _exchange(one) for one in own},
            "inbox": _inbox(topology.inbox(office), plan),
            "webhook": {
                "address": "/",
                "title": "Where the office wants to be told: the url of its webhook.",
                "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
            },
        },
        "operations": {
            **{
                f"publish-{one.key}": _operation("send", one.key, _PUBLISHED[one.key], {"deliveryMode": 2, "mandatory": True, "ack": True})
                for one in own
            },
            "read-inbox": _operation("receive", "inbox", _FOUND, {"ack": True}),
            "be-told": {
                **_operation("receive", "webhook", kinds, {}),
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
        },
        "components": {"messages": dict(_messages()) | {kind.value: _told(kind.value, text) for kind, text in KINDS.items()}},
    }  # fmt: skip


def _exchange(binding: topology.Binding) -> dict[str, Any]:
    return {
        "address": binding.key,
        "title": f"Exchange {binding.exchange}, routing key {binding.key}; bound to {binding.queue}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _PUBLISHED[binding.key]},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": binding.exchange, "type": "direct", "durable": True, "autoDelete": False},
                "bindingVersion": _BINDING,
            }
        },
    }


def _inbox(name: str, plan: topology.Topology) -> dict[str, Any]:
    (queue,) = (one for one in plan.queues if one.name == name)
    return {
        "address": queue.name,
        "title": "What is for this office. It makes no queue; this one is there.",
        "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in _FOUND},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": queue.name, "durable": True, "exclusive": False, "autoDelete": False},
                "bindingVersion": _BINDING,
            }
        },
        "x-arguments": dict(queue.arguments),
    }


def _operation(action: str, channel: str, messages: Any, binding: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }
    return said | ({"bindings": {"amqp": binding | {"bindingVersion": _BINDING}}} if binding else {})


def _messages() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (kind, content_type, what, headers) in _MESSAGES.items():
        said: dict[str, Any] = {"name": name, "summary": what, "contentType": content_type}
        if headers:
            said["headers"] = {
                "type": "object",
                "required": [one for one in headers if one not in _OPTIONAL],
                "properties": headers,
            }
        said["payload"] = _BEAT if name == "heartbeat" else {"type": "string"}
        said["bindings"] = {"amqp": {"messageType": kind, "bindingVersion": _BINDING}}
        yield name, said


def _told(kind: str, what: str) -> dict[str, Any]:
    return {
        "name": kind,
        "summary": what,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
            "properties": dict.fromkeys(("webhook-id", "webhook-timestamp", "webhook-signature"), _TEXT),
        },
        "payload": {
            "type": "object",
            "required": ["type", "timestamp", "data"],
            "properties": {
                "type": {"const": kind},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": {
                    "type": "object",
                    "required": ["cursor", "envelope_id", "addressee", "links"],
                    "properties": {
                        "cursor": _TEXT,
                        "envelope_id": _ID,
                        "addressee": {"type": ["string", "null"]},
                        "links": {"type": "object", "additionalProperties": _TEXT},
                    },
                },
            },
        },
    }
