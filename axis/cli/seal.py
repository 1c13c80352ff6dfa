"""`axis seal`: sign envelopes, and check the seals of envelopes and receipts."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import clock, edxml, receipts, registry, seal
from axis.cli import options, output
from axis.errors import Refusal, TransientError
from axis.seal import SigningKey, Trust

app = typer.Typer(no_args_is_help=True, help="Sign envelopes; check the seals of envelopes and receipts.")

ROLL = "offices.toml"  # Of a trust folder.

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="An edXML file, or a receipt.")]


@app.command()
def sign(
    file: File,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The originator's private key, PEM.")],
    certificate: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="Its certificate, PEM.")],
    to: options.Output = None,
) -> None:
    """Seal a document or status with an office's key; the rest of the file stays as it is, byte for byte.

    Example: axis seal sign 125.edxml --key keys/H56.05.key.pem --certificate certs/H56.05.pem -o 125.sealed.edxml
    """
    sealed = output.run(asyncio.to_thread(lambda: seal.seal(file.read_bytes(), SigningKey.load(key, certificate))))
    output.write(sealed, to)
    if to is not None:
        output.console.print(f"Đã ký / Sealed: {to}")


@app.command()
def verify(
    file: File,
    trust: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder with ca.pem, crl.pem and certs/ or offices.toml.")
    ],
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M:%SZ"], help="Judge certificates at this time (UTC) instead of now."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    axis: options.Axis = "H56.TRUC",
) -> None:
    """Check the seal of an envelope or of a receipt, and say who signed it.

    Exit code: 0 the seal holds, 1 refused, 2 wrong use, 3 could not be checked now.

    Example: axis seal verify 125.sealed.edxml --trust trust/
    """
    moment = clock.now() if at is None else at.replace(tzinfo=UTC)
    finding = output.run(asyncio.to_thread(lambda: _judge(file.read_bytes(), load_trust(trust), moment, axis)))
    if json:
        output.as_json(finding.as_dict())
    elif finding.refusal is None:
        output.table("Chữ ký hợp lệ / The seal holds", ("", ""), list(finding.facts.items()))
        if not finding.facts.get("verified", True):
            word = output.BY_NOTARY if finding.facts["kind"] == "receipt" else output.UNVERIFIED
            output.console.print(word, style="yellow")
    else:
        output.violations(finding.refusal.violations)
        output.console.print("Từ chối / Refused", style="red")
    raise typer.Exit(0 if finding.refusal is None else output.REFUSED)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What verification found: facts, or why not."""

    facts: dict[str, Any]
    refusal: Refusal | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for a program."""
        if self.refusal is None:
            return {"holds": True, **self.facts}
        return {"holds": False, "violations": [found.as_dict() for found in self.refusal.violations]}


def _judge(content: bytes, trust: Trust, at: datetime, axis: str) -> _Finding:
    """Verify a receipt or an envelope.

    Raises:
        TransientError: Revocation could not be checked.
    """
    try:
        if receipts.is_receipt(content):
            return _Finding(_facts_of_receipt(receipts.read_receipt(content, trust, at=at, axis=axis)))
        received = edxml.parse(_without_attachments(content))
        return _Finding(_facts_of_envelope(seal.verify(received, trust, at=at, notary=axis)))
    except TransientError:
        raise
    except Refusal as refusal:
        return _Finding({}, refusal)


def _facts_of_envelope(verified: seal.Verified) -> dict[str, Any]:
    mark = verified.received.notary
    return {
        "kind": verified.received.kind.value,
        "originator": verified.received.originator,
        "verified": verified.by_originator,
        **({} if mark is None else {"notary": mark.organ_id, "original": mark.original}),
        "document_id": verified.received.document_id,
        "digest": verified.digest,
        "signed_with": verified.signer,
        "parts": list(verified.parts),
    }


def _facts_of_receipt(signed: receipts.SignedReceipt) -> dict[str, Any]:
    said = signed.receipt
    return {
        "kind": "receipt",
        "level": said.level.value,
        "issuer": said.issuer,
        "verified": said.verified,
        "originator": said.originator,
        "document_id": said.document_id,
        "envelope_id": said.envelope_id,
        "envelope_digest": said.envelope_digest,
        "addressee": said.addressee,
        "at": said.at.isoformat(),
        "status": said.status,
        "status_code": said.status_code,
        "number": said.number,
        "reason": said.reason,
        "digest": signed.digest,
        "previous": said.previous,
    }


def load_trust(folder: Path) -> Trust:
    """Read a trust folder: by the roll of offices if it has one, else by the names of the certificate files."""
    offices = folder / ROLL
    if not offices.exists():
        return seal.load_trust(folder)
    return registry.load_offices(offices).trust(*seal.load_authorities(folder))


class _Nowhere:
    """A sink for attachments, which no seal covers but by their digests."""

    def write(self, data: bytes, /) -> int:
        """Take the bytes and forget them."""
        return len(data)


def _without_attachments(content: bytes) -> bytes:
    splitter = edxml.Splitter(_Nowhere)
    splitter.feed(content)
    return splitter.close().sealed
