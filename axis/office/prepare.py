"""Preparation: what an office wants to send becomes a sealed envelope and files by digest.

A message that is sealed already is not touched. One that is not gets the
digests and sizes of its files into the manifest and is sealed with the office's
key. Files are copied under their digest first, so that nothing that happens to
the originals later can change what was sealed.

Spec: docs/protocol/envelope.md; QCVN 102:2016 (AttachmentEncoded).
"""

import mimetypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from lxml import etree

from axis import contents, edxml, seal
from axis.broker import topology
from axis.contents import Content
from axis.edxml import AttachmentRef, Received, Splitter, limits
from axis.edxml.parse import load
from axis.edxml.split import Inline, unwrap
from axis.edxml.values import DSIG, PROFILE, claim, q
from axis.errors import Refusal, refuse
from axis.office.document import flush_to_disk
from axis.office.state import FileRow
from axis.private import sync_folder

MOST_WITHIN_BYTES = (
    256 * 1024
)  # Of a file that is kept with its submission: a file of its own costs two syncs of the disk.

_CHUNK_BYTES = 1024 * 1024
_FEW = 100  # Files, and entries of lists.
_SHA256, _BYTES = f"{{{PROFILE}}}sha256", f"{{{PROFILE}}}bytes"

etree.register_namespace("axp", PROFILE)
mimetypes.init()  # It reads a file of the system: not with the first document.


@dataclass(frozen=True, slots=True)
class File:
    """A file to be sent."""

    name: str  # As the addressee shall see it.
    content: Path | bytes
    content_type: str = ""  # Guessed from the name where it is not given.
    description: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What leaves the office."""

    sealed: bytes
    sealed_digest: str
    digest: str | None  # Of the signed content; None if the file is too broken to have one.
    document_id: str
    urgent: bool
    files: tuple[FileRow, ...]


def is_brief(document: edxml.Document, files: Sequence[File], enclosed: Sequence[Content]) -> bool:
    """Whether a document is written in a moment, and without the disk: it is no circular, and its files are at hand and small."""
    at_hand = [len(file.content) for file in files if isinstance(file.content, bytes)]
    is_small = len(at_hand) == len(files) <= _FEW and sum(at_hand) <= MOST_WITHIN_BYTES
    return is_small and not enclosed and _entries(document) <= _FEW


def _entries(document: edxml.Document) -> int:
    """Return how many entries there are in the lists of a document."""
    order = document.business
    own = (document.addressees, document.to_places, document.responses)
    told = (document.tasks, document.appendixes, document.traces)
    replaced = (order.replacements, *(one.organ_ids for one in order.replacements))
    receivers = () if order.update is None else order.update.receivers
    return sum(map(len, (*own, *told, *replaced, receivers)))


def of_document(
    document: edxml.Document,
    files: Sequence[File],
    enclosed: Sequence[Content] = (),
    *,
    signer: seal.SigningKey,
    folder: Path,
    today: date,
) -> Prepared:
    """Render and seal a document with its files and contents; its own manifest is replaced.

    Raises:
        Refusal: It cannot be sealed, or a content breaks a rule.
        OSError: A file cannot be read or copied.
    """
    files = [*files, *map(_file_of, enclosed)]
    kept = [_keep(file, folder) for file in files]
    refs = tuple(_ref(number, file, row) for number, (file, row) in enumerate(zip(files, kept, strict=True), 1))
    whole = replace(document, attachments=refs)
    _require_rules(enclosed, whole, today)
    return _of(seal.seal_message(whole, signer), whole.document_id, whole.priority, kept)


def _file_of(content: Content) -> File:
    row = contents.KINDS[contents.root_of(content).kind]
    return File(row.file_name, contents.render(content), row.content_type)


def _require_rules(enclosed: Sequence[Content], document: edxml.Document, today: date) -> None:
    """Refuse here what the axis would refuse of contents, as far as it can be told here."""
    if not enclosed:
        return
    carrier = contents.Carrier(document)
    found = [*contents.check_manifest(document.attachments)]
    for content in enclosed:
        try:
            contents.examine(contents.render(content), today=today, carrier=carrier)
        except Refusal as refusal:
            found += refusal.violations
    if found:
        raise Refusal(found)


def of_status(status: edxml.Status, *, signer: seal.SigningKey) -> Prepared:
    """Render and seal a status message.

    Raises:
        Refusal: It cannot be sealed.
    """
    return _of(seal.seal_message(status, signer), status.response_for.document_id, 0, ())


def of_envelope(envelope: Path | bytes, files: Sequence[File], *, signer: seal.SigningKey, folder: Path) -> Prepared:
    """Take an edXML message, sealed or not, with files inside it, beside it, or both.

    Raises:
        Refusal: It cannot be sealed, or a file is not in its manifest.
        OSError: A file cannot be read or copied.
    """
    split = _split(envelope, folder)
    carried = [_Carried(one.content_id, one.name, *_unpacked(one, folder)) for one in split.attachments]
    carried += [_Carried("", file.name, row, None) for file in files for row in [_keep(file, folder)]]
    if _is_sealed(split.sealed):
        return _prepared(split.sealed, _listed(split.sealed, carried))
    filled = _filled(split.sealed, carried) if carried else split.sealed
    listed = _listed(filled, carried)
    return _prepared(seal.seal(filled, signer), listed)


@dataclass(frozen=True, slots=True)
class _Carried:
    """A file that came with an envelope."""

    content_id: str
    name: str
    row: FileRow
    packed: FileRow | None  # The same as it was inline, if that was a zip: the manifest decides which is meant.


def _keep(file: File, folder: Path) -> FileRow:
    """Keep a file that may change meanwhile: a small one with the submission, a large one in the folder, under its digest."""
    if isinstance(file.content, bytes):
        return _keep_chunks(file.name, [file.content], folder)
    with file.content.open("rb") as source:
        return _keep_chunks(file.name, iter(lambda: source.read(_CHUNK_BYTES), b""), folder)


def _keep_chunks(name: str, chunks: Iterable[bytes], folder: Path) -> FileRow:
    coming = iter(chunks)
    first = next(coming, b"")
    if len(first) <= MOST_WITHIN_BYTES:
        second = next(coming, b"")
        if not second:
            return FileRow(sha256=sha256(first).hexdigest(), size_bytes=len(first), content=first)
        coming = chain([second], coming)
    return _keep_in_folder(name, chain([first], coming), folder)


def _keep_in_folder(name: str, chunks: Iterable[bytes], folder: Path) -> FileRow:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{uuid4().hex}.part"
    digest, count = sha256(), 0
    try:
        with partial.open("wb") as target:
            for chunk in chunks:
                digest.update(chunk)
                count += len(chunk)
                if count > limits.MAX_ATTACHMENT_BYTES:
                    raise refuse("ATT.SIZE", name)
                target.write(chunk)
            flush_to_disk(target)
        partial.replace(folder / digest.hexdigest())
        sync_folder(folder)
    finally:
        partial.unlink(missing_ok=True)
    return FileRow(sha256=digest.hexdigest(), size_bytes=count, folder=folder.name)


def _split(envelope: Path | bytes, folder: Path) -> edxml.Split:
    folder.mkdir(parents=True, exist_ok=True)
    splitter = Splitter(lambda: _nameless(folder))
    if isinstance(envelope, bytes):
        splitter.feed(envelope)
    else:
        with envelope.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                splitter.feed(chunk)
    return splitter.close()


def _nameless(folder: Path) -> BinaryIO:
    """Open a file that vanishes when it is closed."""
    path = folder / f".{uuid4().hex}.inline"
    file = path.open("w+b")
    path.unlink()
    return file


def _unpacked(one: Inline, folder: Path) -> tuple[FileRow, FileRow | None]:
    """Keep an inline file, and what is in it if it is a zip with a single entry."""
    source: BinaryIO = one.sink  # type: ignore[assignment]  # _nameless made it.
    with source:
        source.seek(0)
        plain = _keep_chunks(one.name, iter(lambda: source.read(_CHUNK_BYTES), b""), folder)
        try:
            return _keep_chunks(one.name, unwrap(source), folder), plain
        except Refusal:
            return plain, None


def _is_sealed(message: bytes) -> bool:
    """Whether a message carries a Signature. A broken one that speaks of one is left for the axis to judge."""
    try:
        root = load(message)
    except Refusal:
        return DSIG.encode() in message
    return next(root.iter(f"{{{DSIG}}}Signature"), None) is not None


def _references(root: etree._Element) -> Iterator[tuple[etree._Element, str, str]]:
    """Yield each Reference of the manifest with its ContentId and name."""
    for reference in root.iterfind("/".join(map(q, ("edXMLEnvelope", "edXMLBody", "edXMLManifest", "Reference")))):
        content_id = (reference.findtext(q("ContentId")) or "").strip().removeprefix("cid:")
        yield reference, content_id, (reference.findtext(q("AttachmentName")) or "").strip()


def _filled(unsealed: bytes, carried: Sequence[_Carried]) -> bytes:
    """Write the digests of the files into a manifest that does not state them."""
    root = load(unsealed)
    for reference, content_id, name in _references(root):
        file = _find(carried, content_id, name)
        if file is None or reference.get(_SHA256):
            continue
        is_zip = name.casefold().endswith(".zip")
        row = file.packed if is_zip and file.packed is not None else file.row
        reference.set(_SHA256, row.sha256)
        reference.set(_BYTES, str(row.size_bytes))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _find(carried: Sequence[_Carried], content_id: str, name: str) -> _Carried | None:
    by_id = (one for one in carried if one.content_id and one.content_id == content_id)
    by_name = (one for one in carried if one.name == name)
    return next(by_id, None) or next(by_name, None)


def _listed(message: bytes, carried: Sequence[_Carried]) -> tuple[FileRow, ...]:
    """Return the files that the manifest means.

    Raises:
        Refusal: ATT.UNLISTED
    """
    try:
        wanted = {reference.get(_SHA256, "") for reference, _, _ in _references(load(message))}
    except Refusal:
        return ()  # The axis will say what is wrong with the envelope; its files do not matter.
    rows: dict[str, FileRow] = {}
    for file in carried:
        meant = next((row for row in (file.row, file.packed) if row is not None and row.sha256 in wanted), None)
        if meant is None:
            raise refuse("ATT.UNLISTED", file.name or file.content_id, rule="attachment:listed")
        rows[meant.sha256] = meant
    return tuple(rows.values())


def _ref(number: int, file: File, row: FileRow) -> AttachmentRef:
    guessed, _ = mimetypes.guess_type(file.name)
    return AttachmentRef(
        content_id=f"a{number}",
        name=file.name,
        content_type=file.content_type or _content_type(file) or guessed or "application/octet-stream",
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        description=file.description,
    )


def _content_type(file: File) -> str:
    """Return the media type of a file that is a content by its name and its beginning, or ""."""
    if not contents.is_content_name(file.name):
        return ""
    if isinstance(file.content, bytes):
        return contents.content_type_of(file.name, file.content[: contents.HEAD_BYTES])
    with file.content.open("rb") as source:
        return contents.content_type_of(file.name, source.read(contents.HEAD_BYTES))


def _of(made: seal.Sealed, document_id: str, priority: int, files: Iterable[FileRow]) -> Prepared:
    return Prepared(
        sealed=made.octets,
        sealed_digest=sha256(made.octets).hexdigest(),
        digest=made.digest,
        document_id=claim(document_id),
        urgent=topology.is_urgent(priority),
        files=_once(files),
    )


def _prepared(sealed: bytes, files: Iterable[FileRow]) -> Prepared:
    """Look at a message that was written elsewhere, and is sealed."""
    _require_small(sealed)
    try:
        received = edxml.parse(sealed)
    except Refusal:
        return Prepared(sealed, sha256(sealed).hexdigest(), None, "", False, _once(files))
    return Prepared(
        sealed=sealed,
        sealed_digest=received.digest,
        digest=seal.digest_of(received),
        document_id=received.document_id,
        urgent=topology.is_urgent(_priority(received)),
        files=_once(files),
    )


def _require_small(sealed: bytes) -> None:
    if len(sealed) > limits.MAX_ENVELOPE_BYTES:
        raise refuse("ENV.TOO_LARGE", f"{len(sealed)} > {limits.MAX_ENVELOPE_BYTES} bytes")


def _once(files: Iterable[FileRow]) -> tuple[FileRow, ...]:
    return tuple({row.sha256: row for row in files}.values())


def _priority(received: Received) -> int:
    header = received.part("header")
    text = None if header is None else header.findtext(f"{q('OtherInfo')}/{q('Priority')}")
    return int(text) if text is not None and text.strip().isdigit() else 0
