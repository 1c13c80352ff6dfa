"""System: webhooks to the office's document system, and what its answers mean.

Each webhook carries an id that stays the same when it is sent again - the
envelope's or the receipt's - and a signature over id, time and body. The table
in docs/adapters.md says what a status means; a system that is down, or wrongly set
up, loses nothing. Where it may have taken what it was told of - its answer is late,
cut, or not as agreed - that is said, and an order about it is brought to it.

Spec: Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature).
"""

import datetime as dt
import json
import ssl
from base64 import b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import httpx
from standardwebhooks import Webhook

from adapters.http.options import HttpOptions, secret_in
from adapters.http.store import facts_of
from axis import (
    Agreed,
    Declined,
    Delivered,
    Notice,
    Order,
    Permanent,
    PermanentError,
    Refused,
    Registered,
    StatusReport,
    Unavailable,
    Uncertain,
)

T = TypeVar("T")

_CONNECT_S = 5.0
_MOST_ANSWER_BYTES = 64 * 1024
# The system says that this document can never be taken. All else, wrong keys and paths too, is mended on our side.
_NEVER = frozenset({400, 409, 410, 413, 415, 422})
# It says, or who stands before it, that it has not even looked; of any other 5xx nobody can say what was done before.
_NOT_LOOKED_AT = frozenset({503})
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NOT_AS_AGREED = "hệ thống của đơn vị trả lời sai quy ước / its answer is not as agreed"


@dataclass(slots=True)
class System:
    """The document system, as we call it."""

    options: HttpOptions
    _webhook: Webhook = field(init=False)
    _tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context, init=False)
    _timeout: httpx.Timeout = field(init=False)

    def __post_init__(self) -> None:
        self._timeout = httpx.Timeout(self.options.timeout_s, connect=_CONNECT_S)
        secret = secret_in(self.options.webhook_secret_file)
        try:
            self._webhook = Webhook(secret)
        except (Base64Error, ValueError, RuntimeError) as error:
            raise PermanentError("CFG.INVALID", "adapter.webhook_secret_file: not a webhook secret") from error

    async def announce(self, envelope_id: str, facts: dict[str, Any]) -> Registered | Refused | Delivered:
        """Tell the system of a document and return its answer.

        Raises:
            Unavailable: Not now.
            Uncertain: Nobody knows whether it has taken it.
            Permanent: The system can never take it.
        """
        answer = await self._post("document.received", envelope_id, facts)
        if answer.status_code in _NEVER:
            raise Permanent(_says(answer))
        return _read(_agreed_form(answer), _ANSWERS)

    async def announce_order(self, order: Order) -> Agreed | Declined | Delivered:
        """Tell the system of an order and return its answer.

        Raises:
            Unavailable: Not now.
            Uncertain: Nobody knows whether it has taken it.
            Permanent: The system can never take it.
        """
        facts = {
            "envelope_id": order.envelope_id,
            "digest": order.digest,
            "originator": {"office": order.originator.organ_id, "name": order.originator.name},
            "order": order.kind.value,
            "reason": order.reason,
            "targets": [asdict(target) for target in order.targets],
            "verified": order.verified,
            "document": None if order.document is None else facts_of(order.document),
            "envelope": b64encode(order.sealed).decode(),
        }
        answer = await self._post("order.received", order.envelope_id, facts)
        if answer.status_code in _NEVER:
            raise Permanent(_says(answer))
        return _read(_agreed_form(answer), _DECISIONS)

    async def tell_receipt(self, notice: Notice) -> None:
        """Tell the system what was said about a document of its own.

        Raises:
            Unavailable: It did not take it; it is told again.
            Uncertain: It may have taken it; likewise.
        """
        said = notice.signed.receipt
        facts = {
            "level": notice.level.value,
            "submission_id": notice.submission_id,
            "envelope_id": notice.envelope_id,
            "document_id": notice.document_id,
            "issuer": notice.issuer,
            "verified": notice.verified,
            "addressee": notice.addressee,
            "at": notice.at.isoformat(),
            "number": notice.number,
            "status_code": notice.status_code,
            "code": notice.code,
            "reason": notice.reason,
            "who_must_act": notice.who_must_act,
            "violations": [one.as_dict() for one in notice.violations],
            "addressees": [one._asdict() for one in said.addressees],
            "digest": notice.digest,
            "receipt": notice.xml.decode(),
        }
        _require_taken(await self._post("receipt.received", notice.digest, facts))

    async def tell_status(self, report: StatusReport) -> None:
        """Tell the system what another office said in the national form.

        Raises:
            Unavailable: It did not take it; it is told again.
            Uncertain: It may have taken it; likewise.
        """
        said = report.message
        facts = {
            "envelope_id": report.envelope_id,
            "from": said.originator.organ_id,
            "document_id": said.response_for.document_id,
            "code": said.response_for.code,
            "status_code": said.status_code,
            "description": said.description,
            "at": said.at.isoformat(),
            "verified": report.verified,
            "envelope": b64encode(report.sealed).decode(),
        }
        _require_taken(await self._post("status.received", report.envelope_id, facts))

    async def _post(self, kind: str, webhook_id: str, facts: dict[str, Any]) -> httpx.Response:
        now = dt.datetime.now(dt.UTC)
        body = json.dumps({"type": kind, "timestamp": now.isoformat(), "data": facts}, ensure_ascii=False)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(webhook_id, now, body),
        }
        try:
            async with httpx.AsyncClient(timeout=self._timeout, verify=self._tls) as client:
                return await client.post(str(self.options.system_url), content=body.encode(), headers=headers)
        except _NOT_SENT as error:
            raise Unavailable("không nối được hệ thống của đơn vị / its system cannot be reached") from error
        except httpx.TimeoutException as error:
            raise Uncertain("hệ thống của đơn vị không trả lời kịp / its system did not answer in time") from error
        except httpx.HTTPError as error:
            raise Uncertain("mất kết nối với hệ thống của đơn vị / the line to its system broke") from error


def _require_taken(answer: httpx.Response) -> None:
    """Raise what an answer means that is no yes: Unavailable, or Uncertain."""
    if answer.is_server_error and answer.status_code not in _NOT_LOOKED_AT:
        raise Uncertain(_says(answer))
    if not answer.is_success:
        raise Unavailable(_says(answer))


def _says(answer: httpx.Response) -> str:
    """Return a reason that others may read: the system's own, if it gives one in the agreed form."""
    try:
        reason = answer.json().get("reason")
    except (ValueError, AttributeError):
        reason = None
    status = f"hệ thống của đơn vị trả lời {answer.status_code} / its system answers {answer.status_code}"
    return f"{status}: {reason}" if isinstance(reason, str) and reason.strip() else status


def _agreed_form(answer: httpx.Response) -> dict[str, Any]:
    """Return what the system says, {} if it says nothing.

    Raises:
        Unavailable: It could not take it now.
        Uncertain: It may have taken it: it failed, or speaks in another way than was agreed.
    """
    _require_taken(answer)
    if not answer.content.strip():
        return {}
    try:
        said = answer.json() if len(answer.content) <= _MOST_ANSWER_BYTES else None
    except ValueError as error:
        raise Uncertain(_NOT_AS_AGREED) from error
    if not isinstance(said, dict):
        raise Uncertain(_NOT_AS_AGREED)
    return said


_Said = Mapping[str, Any]


def _text(said: _Said, name: str) -> str:
    """Return a text of an answer, "" if it is null or not there. A number of the register may be written as one.

    Raises:
        ValueError: It is something else.
    """
    match said.get(name):
        case None:
            return ""
        case str(text):
            return text
        case int(number) if not isinstance(number, bool):
            return str(number)
        case _:
            raise ValueError(f"{name} is no text")


_ANSWERS: dict[str, Callable[[_Said], Registered | Refused | Delivered]] = {
    "registered": lambda said: Registered(_text(said, "number"), _text(said, "note")),
    "refused": lambda said: Refused(_text(said, "reason")),
    "delivered": lambda _said: Delivered(),
}
_DECISIONS: dict[str, Callable[[_Said], Agreed | Declined | Delivered]] = {
    "agreed": lambda said: Agreed(_text(said, "note"), _text(said, "number")),
    "declined": lambda said: Declined(_text(said, "reason")),
    "delivered": lambda _said: Delivered(),
}


def _read(said: _Said, words: Mapping[str, Callable[[_Said], T]]) -> T:
    """Return what the system says, in one of the words for it; no word is `delivered`.

    Raises:
        Uncertain: It speaks in another way than was agreed.
    """
    word = said.get("answer")
    try:
        return words["delivered" if word is None else str(word)](said)
    except (ValueError, KeyError) as error:
        raise Uncertain(_NOT_AS_AGREED) from error
