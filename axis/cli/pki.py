"""`axis pki`: a small certificate authority for a province that runs its own."""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from axis import clock
from axis.cli import output
from axis.seal import pki

app = typer.Typer(no_args_is_help=True, help="Make a certificate authority; issue and revoke office certificates.")

Folder = Annotated[Path, typer.Argument(file_okay=False, help="The trust folder, where ca.pem is.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Reason(StrEnum):
    """Why a certificate is revoked."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="The trust folder to make.")],
    name: Annotated[str, typer.Option(help="Name of the authority.")] = "CA trục liên thông văn bản",
    days: Annotated[int, typer.Option(min=1, max=9125, help="How long its certificate is valid.")] = 3650,
    json: Json = False,
) -> None:
    """Make a new authority: its key (readable by you alone), its certificate and an empty revocation list.

    Example: axis pki init trust/ --name "CA tỉnh Thanh Hóa (ví dụ)"
    """
    made = output.run(
        asyncio.to_thread(lambda: pki.init(folder, name=name, now=clock.now(), lifetime=timedelta(days=days)))
    )
    _say(
        json,
        {"folder": str(folder), "serial": f"{made.serial_number:x}", "until": f"{made.not_valid_after_utc:%Y-%m-%d}"},
    )


@app.command()
def issue(
    folder: Folder,
    organ_id: Annotated[str, typer.Argument(help="The office's OrganId, e.g. H56.05.")],
    name: Annotated[str, typer.Option(help="The office's name.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long the certificate is valid.")] = 730,
    csr: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A certificate request, if the office has made its own key."),
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Where to write the new key, e.g. for a successor key.")] = None,
    json: Json = False,
) -> None:
    """Issue a certificate to an office. Earlier ones stay in its file, so that keys can change without a gap.

    Example: axis pki issue trust/ H56.05 --name "Sở Khoa học và Công nghệ (ví dụ)"
    """
    issued = output.run(
        asyncio.to_thread(
            lambda: pki.issue(
                folder,
                organ_id,
                name=name,
                now=clock.now(),
                lifetime=timedelta(days=days),
                request=None if csr is None else csr.read_bytes(),
                key_path=key,
            )
        )
    )
    _say(
        json,
        {
            "organ_id": organ_id,
            "serial": f"{issued.certificate.serial_number:x}",
            "until": f"{issued.certificate.not_valid_after_utc:%Y-%m-%d}",
            "certificate": str(issued.certificate_path),
            "key": None if issued.key_path is None else str(issued.key_path),
        },
    )


@app.command()
def revoke(
    folder: Folder,
    which: Annotated[str, typer.Argument(help="An OrganId (all its certificates), or one serial number in hex.")],
    reason: Annotated[Reason, typer.Option(help="Why.")] = Reason.UNSPECIFIED,
    invalid_from: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%SZ"], help="With key-compromise: since when others may have had the key (UTC)."
        ),
    ] = None,
    unknown_serial: Annotated[
        bool, typer.Option("--unknown-serial", help="WHICH is the serial number of a certificate whose file is gone.")
    ] = False,
    json: Json = False,
) -> None:
    """Revoke certificates that this authority has issued, and write a new revocation list.

    The lists of other authorities in crl.pem stay as they are; so do their certificates of the same office, which only they
    can revoke.

    Example: axis pki revoke trust/ H56.05 --reason key-compromise --invalid-from 2026-11-01T00:00:00Z
    """
    done = output.run(
        asyncio.to_thread(
            lambda: pki.revoke(
                folder,
                which,
                now=clock.now(),
                reason=pki.REASONS[reason],
                invalid_from=None if invalid_from is None else invalid_from.replace(tzinfo=UTC),
                unknown_serial=unknown_serial,
            )
        )
    )
    _say(
        json,
        {
            "revoked": [f"{serial:x}" for serial in done.serials],
            "of_other_authorities": [f"{serial:x}" for serial in done.left],
            "crl": str(folder / "crl.pem"),
        },
    )


@app.command()
def crl(
    folder: Folder,
    days: Annotated[int, typer.Option(min=1, max=365, help="When the next list is due.")] = 7,
    json: Json = False,
) -> None:
    """Write a new revocation list with the same entries, before the present one is out of date.

    The lists of other authorities in crl.pem stay as they are.

    Example: axis pki crl trust/ --days 7
    """
    made = output.run(asyncio.to_thread(lambda: pki.renew_crl(folder, now=clock.now(), lifetime=timedelta(days=days))))
    _say(
        json, {"crl": str(folder / "crl.pem"), "revoked": len(made), "until": f"{made.next_update_utc:%Y-%m-%d %H:%MZ}"}
    )


def _say(as_json: bool, facts: dict[str, object]) -> None:
    if as_json:
        output.as_json(facts)
    else:
        output.table("PKI", ("", ""), list(facts.items()))
