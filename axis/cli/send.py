"""`axis send`: hand one document in by hand, as an office."""

import asyncio
import os
import ssl
import tempfile
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from axis import clock, seal
from axis.cli import options, output
from axis.errors import CATALOGUE, PermanentError, TransientError, Violation
from axis.gateway.tls import believing
from axis.office import prepare
from axis.office.gateway import GatewayClient, client_tls

_TIMEOUT = httpx.Timeout(30.0, read=120.0)


def send(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="An edXML file, sealed or not.")],
    office: Annotated[str, typer.Option("--as", help="OrganId of the office that sends.")],
    attach: Annotated[
        list[Path] | None,
        typer.Option(
            "--attach", exists=True, dir_okay=False, help="A file of the document; may be given several times."
        ),
    ] = None,
    gateway: Annotated[
        str,
        typer.Option(
            envvar="AXIS_GATEWAY_URL", help="Address of the gateway.", show_default="that of axis up in the data folder"
        ),
    ] = "",
    authorities: Annotated[
        Path | None,
        typer.Option(
            envvar="AXIS_GATEWAY_AUTHORITIES",
            exists=True,
            dir_okay=False,
            help="Authorities (PEM) that may have issued the gateway's certificate.",
            show_default="those that the machine knows",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The office's private key.",
            show_default="trust/keys/<OrganId>.key.pem in the data folder",
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Its certificate.",
            show_default="trust/certs/<OrganId>.pem in the data folder",
        ),
    ] = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", dir_okay=False, writable=True, help="Where to write the signed answer.")
    ] = None,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Send a document: seal it if it is not sealed, bring its files to the axis, hand it in, show the signed answer.

    Sending the same document again is safe: the first answer comes again.
    Exit code: 0 accepted, 1 refused, 2 wrong use, 3 the axis could not be reached, 4 accepted, and the receipt could not be
    written: it comes again with the same document.

    Example: axis send 125.edxml --as H56.05 --attach 125.pdf
    """
    if receipt is not None:
        _require_place(receipt)

    async def work() -> dict[str, Any]:
        settings = options.settings(data).filled()
        trust = settings.trust or settings.data / "trust"
        signer = seal.SigningKey.load(
            key or trust / "keys" / f"{office}.key.pem", certificate or trust / "certs" / f"{office}.pem"
        )
        address = gateway or _address(settings.data)
        own = settings.gateway.certificate
        tls = believing(own) if own is not None and not gateway else client_tls(authorities, key=signer)
        return await _send(file, attach or [], office, signer, address, tls, quiet=json)

    answer = output.run(work())
    _show(answer, json)
    is_kept = receipt is None or not answer.get("receipt") or _keep(answer, receipt)
    if not answer["accepted"]:
        raise typer.Exit(output.REFUSED)
    if not is_kept:
        raise typer.Exit(output.NOT_KEPT)


def _require_place(receipt: Path) -> None:
    """Send nothing whose signed answer has no place: whoever wants to keep it learns so before."""
    there = receipt if os.path.exists(receipt) else receipt.parent
    if not (receipt.parent.is_dir() and os.access(there, os.W_OK)):
        output.stop(f"Không ghi được biên nhận / The receipt cannot be written: {receipt}", output.WRONG_USE)


def _show(answer: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json(answer)
    elif answer["accepted"]:
        word = "đã nhận trước đây / accepted before" if answer["duplicate"] else "đã nhận / accepted"
        output.console.print(f"{word}: {answer['envelope_id']}", style="green", markup=False)
    else:
        output.violations([Violation(**one) for one in answer["violations"]])
        output.console.print("Từ chối / Refused", style="red")


def _keep(answer: dict[str, Any], receipt: Path) -> bool:
    """Write the signed answer, or say that it cannot be written: what the axis has answered stands all the same."""
    try:
        receipt.write_text(answer["receipt"], encoding="utf-8")
    except OSError as error:
        word = f"đã nhận / accepted: {answer['envelope_id']}" if answer["accepted"] else "từ chối / refused"
        text = f"không ghi được biên nhận / the receipt could not be written: {receipt}: {error.strerror}"
        output.complaints.print(f"{word}; {text}", markup=False, style="red")
        return False
    return True


def _address(data: Path) -> str:
    file = data / "gateway.address"
    if not file.exists():
        output.stop(
            f"Không biết địa chỉ cổng / No gateway is known: give --gateway, or --data of a running axis up ({data})",
            output.WRONG_USE,
        )
    return file.read_text(encoding="ascii").strip()


async def _send(
    file: Path,
    attach: list[Path],
    office: str,
    signer: seal.SigningKey,
    address: str,
    tls: ssl.SSLContext,
    *,
    quiet: bool,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="axis-send-") as scratch:
        folder = Path(scratch) / "files"
        given = [prepare.File(path.name, path) for path in attach]
        prepared = await asyncio.to_thread(prepare.of_envelope, file, given, signer=signer, folder=folder)
        async with GatewayClient.connect(address, office=office, key=signer, now=clock.now, tls=tls) as client:
            for row in prepared.files:
                with output.progress(f"tải lên / uploading {row.sha256[:12]}", row.size_bytes, quiet=quiet) as told:
                    await client.upload(row.source(folder.parent), row.sha256, row.size_bytes, told=told)
        return await _submit(address, office, signer, prepared.sealed, tls)


async def _submit(
    address: str, office: str, signer: seal.SigningKey, sealed: bytes, tls: ssl.SSLContext
) -> dict[str, Any]:
    """Hand the envelope in over HTTP; a refusal is an answer, too.

    Raises:
        TransientError: The axis could not take it now.
    """
    token = seal.make_token(office, signer, clock.now())
    try:
        async with httpx.AsyncClient(base_url=address, timeout=_TIMEOUT, verify=tls) as http:
            answer = await http.post("/v1/envelopes", content=sealed, headers={"Authorization": f"Bearer {token}"})
        body: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise TransientError("SYS.BROKER") from error
    if answer.is_success:
        return {"accepted": True, "violations": []} | body
    code = body.get("code", "")
    if code not in CATALOGUE:
        raise TransientError("SYS.INTERNAL")
    if answer.status_code >= 500 or answer.status_code == 429:
        raise TransientError(code)
    if not body.get("violations"):
        raise PermanentError(code)
    return {
        "accepted": False,
        "envelope_id": None,
        "duplicate": False,
        "violations": body["violations"],
        "receipt": body.get("receipt"),
    }
