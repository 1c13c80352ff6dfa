"""`axis edxml`: between the dialects of older systems and the one form."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from axis import edxml
from axis.cli import options, output
from axis.cli.lint import scratch
from axis.edxml import Document, Splitter
from axis.edxml.dialects import Cutter, Dialect, Policy, Tolerated, contents, normalise, render, with_files
from axis.edxml.inline import inline
from axis.edxml.split import unwrap
from axis.errors import refuse

app = typer.Typer(no_args_is_help=True, help="Between the dialects of older systems and the one form.")

_CHUNK_BYTES = 1024 * 1024

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="An edXML file.")]


@app.command("normalise")
def normalise_file(file: File, dialect: options.DialectName, to: options.Output = None) -> None:
    """Write what a file of an older system means, in the one form, with its attachments inside; it carries no seal.

    What was tolerated is said on standard error.

    Example: axis edxml normalise cong-van.edxml --dialect edoc -o 125.edxml
    """
    policy = Policy(options.dialect_named(dialect), takes_unsigned=True)
    for one in output.run(asyncio.to_thread(_normalised, file, policy, to)):
        output.complaints.print(f"~ {one.quirk}  {one.vi} / {one.en}", markup=False)


@app.command("render")
def render_file(file: File, dialect: options.DialectName, to: options.Output = None) -> None:
    """Write a document or status, sealed or not and with its attachments inside, as an older system reads it.

    Example: axis edxml render 125.edxml --dialect soap -o cong-van.xml
    """
    output.run(asyncio.to_thread(_rendered, file, options.dialect_named(dialect), to))


def _normalised(file: Path, policy: Policy, to: Path | None) -> tuple[Tolerated, ...]:
    """Raises: Refusal"""
    with ExitStack() as scratches:

        def open_scratch() -> BinaryIO:
            return scratches.enter_context(scratch())

        cutter = Cutter(open_scratch)
        for chunk in _chunks(file):
            cutter.feed(chunk)
        normal = normalise(cutter.close(), policy)
        refs = normal.message.attachments if isinstance(normal.message, Document) else ()
        files = [
            _kept(contents(cast("BinaryIO", sink), ref.name, policy.dialect), open_scratch)
            for ref, sink in zip(refs, normal.sinks, strict=True)
        ]
        message = with_files(normal.message, [(digest, size) for _, digest, size in files])
        octets = edxml.render(message)
        _write(
            inline(octets, zip(message.attachments, (_read(kept) for kept, _, _ in files), strict=True))
            if isinstance(message, Document) and files
            else [octets],
            to,
        )
    return normal.tolerated


def _rendered(file: Path, dialect: Dialect, to: Path | None) -> None:
    """Raises: Refusal"""
    with ExitStack() as scratches:
        splitter = Splitter(lambda: scratches.enter_context(scratch()))
        for chunk in _chunks(file):
            splitter.feed(chunk)
        split = splitter.close()
        received = edxml.parse(split.sealed)
        edxml.gate(received)
        parts = {name: part for name in edxml.PARTS[received.kind] if (part := received.part(name)) is not None}
        message = edxml.read_trees(received.kind, parts)
        carried = {one.content_id: cast("BinaryIO", one.sink) for one in split.attachments}
        files: list[Iterable[bytes]] = []
        if isinstance(message, Document):
            message = replace(message, traces=edxml.read_traces(received))
            for ref in message.attachments:
                packed = carried.get(ref.content_id)
                if packed is None:
                    raise refuse("ATT.MISSING", ref.name, rule="attachment:inline")
                files.append(_read(packed) if _digest(_read(packed)) == ref.sha256 else unwrap(packed))
        _write(render(dialect, message, files), to)


def _kept(chunks: Iterable[bytes], open_scratch: Callable[[], BinaryIO]) -> tuple[BinaryIO, str, int]:
    """Keep a file for a while; return it with its digest and size."""
    kept, digest, size = open_scratch(), sha256(), 0
    for chunk in chunks:
        kept.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return kept, digest.hexdigest(), size


def _digest(chunks: Iterable[bytes]) -> str:
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        yield from _read(source)


def _read(source: BinaryIO) -> Iterator[bytes]:
    source.seek(0)
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk


def _write(pieces: Iterable[bytes], to: Path | None) -> None:
    with _target(to) as target:
        for piece in pieces:
            target.write(piece)


@contextmanager
def _target(to: Path | None) -> Iterator[BinaryIO]:
    if to is None:
        yield sys.stdout.buffer
        return
    with to.open("wb") as file:
        yield file
