"""`axis backup`, `axis restore`: the ledger and the attachments that belong to it, into a folder and back."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from axis import backup as backups
from axis import clock
from axis.cli import options, output

_MOST_SHOWN = 20

_NO_KEYS = (
    "Không sao lưu khóa riêng / Private keys are not in it: keep trust/keys, ca.key.pem and secrets/ by themselves, "
    "encrypted, elsewhere"
)
# What no backup can know, and how it comes right.
_UNKNOWN = (
    "Văn bản nhận sau bản sao lưu không có trong sổ cái / What was accepted after the backup is not in this ledger.",
    "  An office whose submission had no answer submits it again by itself; where it had brought its files already, "
    "it may be told ATT.MISSING and has to send the document again.",
    "  What was answered with an acceptance has to be sent again by its originator, which has the signed acceptance; "
    "ask the offices for those of that time.",
    "  Receipts of addressees about such envelopes are refused as RCT.UNKNOWN and put on record with the office's code.",
)


def backup(
    target: Annotated[Path, typer.Argument(file_okay=False, help="The folder of the backup, on another disk.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Read what earlier backups brought, too; copy anew what is damaged.")
    ] = False,
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Copy ledger and attachments, consistent with each other, and the public parts of the trust, into a folder.

    The axis may go on meanwhile. Into a folder that holds a backup, only attachments that are not there yet are copied;
    the earlier backup counts until this one is whole. With --verify those that are there are read, which takes its time,
    and damaged ones are copied anew. Private keys, and the broker's passwords, are not copied.
    Exit code: 0 all is copied, 1 all but files that the spool lacks or cannot read, 2 wrong use, 3 not now.

    Example: axis backup /srv/backup
    """

    async def work() -> backups.Made:
        shown = partial(output.progress, quiet=json)
        return await backups.make(target, _place(data), now=clock.now(), shown=shown, verify=verify)

    made = output.run(work())
    if json:
        output.as_json(_made_as_dict(target, made))
    else:
        _tell_made(target, made)
    if made.manifest.missing:
        raise typer.Exit(output.REFUSED)


def restore(
    source: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The folder of the backup.")],
    json: options.Json = False,
    data: options.Data = None,
) -> None:
    """Make ledger and spool from a backup, where there is no ledger yet, and say what lies between it and now.

    Every file is held against its digest; an attachment must be whole in the backup or in the spool. Attempts without an
    answer are made again at once, and what waits keeps the life that it had left. The keys of the axis have to be brought
    by hand.
    Exit code: 0 restored, 1 restored but the audit found something or files were missing, 2 refused, 3 not now.

    Example: axis restore /srv/backup --data /var/lib/axis
    """

    async def work() -> backups.Restored:
        shown = partial(output.progress, quiet=json)
        return await backups.restore(source, _place(data), now=clock.now(), shown=shown)

    done = output.run(work())
    if json:
        output.as_json(_restored_as_dict(source, done))
    else:
        _tell_restored(source, done)
    if done.resumed.audit.findings or done.manifest.missing:
        raise typer.Exit(output.REFUSED)


def _place(data: Path | None) -> backups.Place:
    settings = options.settings(data).filled()
    trust = settings.trust or settings.data / "trust"
    return backups.Place(
        ledger_url=settings.ledger_url,
        spool_url=settings.spool_url,
        staging=settings.data / "staging",
        trust=trust,
        offices=settings.offices or trust / "offices.toml",
    )


def _held(manifest: backups.Manifest) -> dict[str, Any]:
    """Return what a backup holds, for programs."""
    return {
        "made_at": manifest.made_at.isoformat(),
        "package": manifest.package,
        "ledger": {
            "kind": manifest.ledger_kind,
            "revision": manifest.ledger_revision,
            "size_bytes": manifest.ledger.size_bytes,
        },
        "documents": manifest.documents,
        "deliveries": manifest.deliveries,
        "receipts": manifest.receipts,
        "last_event": manifest.last_event,
        "files": len(manifest.files),
        "files_bytes": sum(manifest.files.values()),
        "missing": list(manifest.missing),
    }


def _tell_held(manifest: backups.Manifest) -> None:
    states = ", ".join(f"{number} {state}" for state, number in sorted(manifest.deliveries.items()) if number)
    output.console.print(
        f"  {manifest.documents} documents, {sum(manifest.deliveries.values())} deliveries"
        f"{f' ({states})' if states else ''}, {manifest.receipts} receipts, last event {manifest.last_event}",
        markup=False,
    )
    missing = "Thiếu tệp / Missing: {} is named by the ledger, but not whole in the spool, or cannot be read there"
    _tell_each(missing, manifest.missing, style="red")


def _tell_each(what: str, digests: Sequence[str], *, style: str) -> None:
    for digest in digests[:_MOST_SHOWN]:
        output.console.print(f"  {what.format(digest)}", markup=False, style=style)
    if len(digests) > _MOST_SHOWN:
        output.console.print(f"  … {len(digests)} in all; --json names each", style=style)


def _made_as_dict(target: Path, made: backups.Made) -> dict[str, Any]:
    return {
        "target": str(target),
        **_held(made.manifest),
        "copied": made.copied,
        "copied_bytes": made.copied_bytes,
        "replaced": list(made.replaced),
        "left_out": list(made.left_out),
    }


def _tell_made(target: Path, made: backups.Made) -> None:
    held = made.manifest
    output.console.print(
        f"Đã sao lưu / Backed up: {target}, as of {held.made_at:%Y-%m-%d %H:%M:%S}Z", markup=False, style="green"
    )
    _tell_held(held)
    output.console.print(
        f"  {len(held.files)} attachments with {_mib(sum(held.files.values()))}, of them copied now: {made.copied} with {_mib(made.copied_bytes)}"
    )
    _tell_each("Hỏng, đã chép lại / Damaged in the backup, copied anew: {}", made.replaced, style="yellow")
    for name in made.left_out:
        output.console.print(f"  Bỏ qua / Left out, it holds a private key: trust/{name}", markup=False, style="yellow")
    output.console.print(_NO_KEYS, markup=False)


def _restored_as_dict(source: Path, done: backups.Restored) -> dict[str, Any]:
    resumed = done.resumed
    return {
        "source": str(source),
        **_held(done.manifest),
        "gap_s": done.gap.total_seconds(),
        "brought": done.brought,
        "replaced": list(done.replaced),
        "damaged": list(done.damaged),
        "trust": {"placed": list(done.trust_placed), "kept": list(done.trust_kept)},
        "put_back": resumed.put_back,
        "overdue": resumed.overdue,
        "prolonged": resumed.prolonged,
        "passwords": resumed.passwords,
        "notices_waiting": resumed.audit.notices_waiting,
        "audit": resumed.audit.as_dict(),
    }


def _tell_restored(source: Path, done: backups.Restored) -> None:
    resumed, held = done.resumed, done.manifest
    output.console.print(
        f"Đã khôi phục / Restored: {source}, as of {held.made_at:%Y-%m-%d %H:%M:%S}Z", markup=False, style="green"
    )
    _tell_held(held)
    output.console.print(f"  {len(held.files)} attachments, of them brought into the spool: {done.brought}")
    replaced = "Hỏng, đã thay / Damaged in the spool, replaced by the backup's copy: {}"
    _tell_each(replaced, done.replaced, style="yellow")
    damaged = "Hỏng trong bản sao lưu / Damaged in the backup, whole in the spool; axis backup --verify mends it: {}"
    _tell_each(damaged, done.damaged, style="yellow")
    output.console.print(
        f"  {len(done.trust_placed)} files put into the trust folder; {len(done.trust_kept)} were there and were left as they are"
    )
    output.console.print(
        f"Từ bản sao lưu đến nay / Between the backup and now: {str(done.gap).partition('.')[0]}", style="bold"
    )
    for line in _UNKNOWN:
        output.console.print(f"  {line}", markup=False)
    for line in (
        f"{resumed.put_back} deliveries were with their addressees: attempted again at once; whoever has one answers as before",
        f"{resumed.overdue} others would have been attempted meanwhile: due now",
        f"{resumed.prolonged} wait, dead letters included, and keep the life that they had left",
        f"{resumed.audit.notices_waiting} receipts wait to be published to their offices; known ones change nothing",
        f"{resumed.passwords} passwords of offices are good, as they were then: end again what was ended since (axis passwords)",
    ):
        output.console.print(f"  {line}", markup=False)
    output.console.print(
        "Tiếp theo / Next: bring the keys of the axis, renew the revocation list (axis pki crl), axis doctor, axis up"
    )
    for found in resumed.audit.findings:
        output.console.print(
            f"  {found.rule} {found.envelope_id} {found.addressee}: {found.text}", markup=False, style="red"
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.1f} MiB"
