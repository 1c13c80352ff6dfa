"""Lint: everything that is wrong with a file, for a person at a desk.

Where intake stops at a seal that does not hold, lint goes on as far as it can:
shape, dates, business rules, addressees and the inline files are all reported at
once, sealed or not. The words are those of the signed receipt. A file of an older
system is read in its dialect.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import BinaryIO

from axis.edxml.dialects import Cutter, Judged, Policy, Tolerated, contents, judge
from axis.edxml.faults import MOST, faults, misshapes, parts_of, with_lines
from axis.edxml.model import AttachmentRef, Document, Message
from axis.edxml.parse import Received, parse
from axis.edxml.read import read_trees
from axis.edxml.rules import check
from axis.edxml.split import Beginning, Inline, Splitter, is_no_zip, unwrap
from axis.errors import Refusal, Violation, violation

_CHUNK_BYTES = 256 * 1024


Fetch = Callable[[AttachmentRef], bytes | None]  # An inline file as the manifest means it; None if it is not there.


def _no_contents(_document: Document, _fetch: Fetch) -> tuple[Violation, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Report:
    """What lint found."""

    kind: StrEnum | None  # Of message, or of content; None: it could not be told.
    violations: tuple[Violation, ...]
    tolerated: tuple[Tolerated, ...] | None = None  # Of a message in a dialect.

    @property
    def accepted(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations

    def as_dict(self) -> dict[str, object]:
        """Return the report as programs read it."""
        tolerated = {} if self.tolerated is None else {"tolerated": [one.as_dict() for one in self.tolerated]}
        return {
            "accepted": self.accepted,
            "kind": None if self.kind is None else self.kind.value,
            **tolerated,
            "violations": [found.as_dict() for found in self.violations],
        }


def lint(
    chunks: Iterable[bytes],
    *,
    today: date,
    open_scratch: Callable[[], BinaryIO],
    check_seal: Callable[[Received], tuple[Violation, ...]] | None = None,
    check_routes: Callable[[Message], tuple[Violation, ...]] | None = None,
    check_contents: Callable[[Document, Fetch], tuple[Violation, ...]] = _no_contents,
) -> Report:
    """Report on one file, sealed or not, with or without inline attachments.

    Args:
        chunks: The file's bytes.
        today: The day in Viet Nam.
        open_scratch: Makes a temporary binary file for each inline attachment.
        check_seal: What the seal room finds wrong; None leaves the seal alone.
        check_routes: What the sorting room finds wrong; None leaves the addressees alone.
        check_contents: What is wrong with the contents of a document, as far as their files are inside it.
    """
    with ExitStack() as scratches:
        splitter = Splitter(lambda: scratches.enter_context(open_scratch()))
        beginning = Beginning()
        coming = iter(chunks)
        try:
            for chunk in coming:
                beginning.add(chunk)
                splitter.feed(chunk)
            split = splitter.close()
        except Refusal as refusal:
            for chunk in coming:
                beginning.add(chunk)
                if beginning.is_over:
                    break
            return Report(None, beginning.refusal(refusal).violations)
        try:
            received = parse(split.sealed)
        except Refusal as refusal:
            return Report(None, refusal.violations)
        seal = () if check_seal is None else check_seal(received)

        def also(message: Message) -> tuple[Violation, ...]:
            routes = () if check_routes is None else check_routes(message)
            return (*routes, *inline_violations(message, split.attachments))

        found = faults(received, misshapes(received), today=today, also=also)
        enclosed = _enclosed_violations(received, split.attachments, check_contents)
    said = {(one.code, one.vi) for one in found}  # What the seal room says too is said once, with its place.
    return Report(received.kind, (*(one for one in seal if (one.code, one.vi) not in said), *found, *enclosed))


def lint_dialect(
    chunks: Iterable[bytes], policy: Policy, *, today: date, open_scratch: Callable[[], BinaryIO]
) -> Report:
    """Report on a file as an older system writes it: what is tolerated, and what is not.

    Args:
        chunks: The file's bytes.
        policy: Of the office that would send it.
        today: The day in Viet Nam.
        open_scratch: Makes a temporary binary file for each file inside.
    """
    with ExitStack() as scratches:
        cutter = Cutter(lambda: scratches.enter_context(open_scratch()))
        try:
            for chunk in chunks:
                cutter.feed(chunk)
            cut = cutter.close()
        except Refusal as refusal:
            return Report(None, refusal.violations, ())
        judged = judge(cut, policy)
        found = [*judged.violations]
        if judged.message is not None and judged.received is not None:
            found += with_lines(check(judged.message, today=today)[:MOST], judged.received)
            found += _file_violations(judged, policy)
    return Report(judged.kind, tuple(found), judged.tolerated)


def _file_violations(judged: Judged, policy: Policy) -> Iterator[Violation]:
    """Yield what keeps files from being taken out of their wrappings."""
    refs = judged.message.attachments if isinstance(judged.message, Document) else ()
    if len(refs) != len(judged.sinks):
        return  # Which is whose is not known; that has been said.
    for ref, sink in zip(refs, judged.sinks, strict=True):
        try:
            for _ in contents(sink, ref.name, policy.dialect):  # type: ignore[arg-type]  # open_scratch made it.
                pass
        except Refusal as refusal:
            yield from refusal.violations


def _enclosed_violations(
    received: Received, carried: tuple[Inline, ...], check_contents: Callable[[Document, Fetch], tuple[Violation, ...]]
) -> tuple[Violation, ...]:
    """Return what is wrong with the contents; of a message that cannot be read, that is said already."""
    try:
        message = read_trees(received.kind, parts_of(received))
    except Refusal:
        return ()
    if not isinstance(message, Document):
        return ()
    files = {file.content_id: file for file in carried}
    return with_lines(check_contents(message, lambda ref: _file_of(ref, files)), received)


def _file_of(ref: AttachmentRef, files: Mapping[str, Inline]) -> bytes | None:
    """Return an inline file as the manifest means it, plain or out of its zip; None if it is not here."""
    file = files.get(ref.content_id)
    if file is None or difference(ref, file):
        return None
    packed: BinaryIO = file.sink  # type: ignore[assignment]  # open_scratch made it.
    packed.seek(0)
    plain = packed.read()
    return plain if sha256(plain).hexdigest() == ref.sha256 else b"".join(unwrap(packed))


def inline_violations(message: Message, carried: tuple[Inline, ...]) -> tuple[Violation, ...]:
    """Return how the inline files differ from the manifest. A file that is not inline may have been uploaded before."""
    refs = {ref.content_id: ref for ref in message.attachments} if isinstance(message, Document) else {}
    found = []
    for file in carried:
        ref = refs.get(file.content_id)
        if ref is None:
            found.append(violation("ATT.UNLISTED", file.name or file.content_id, rule="attachment:listed"))
        else:
            found += difference(ref, file)
    return tuple(found)


def difference(ref: AttachmentRef, file: Inline) -> tuple[Violation, ...]:
    """Return why an inline file is not the one that the manifest lists, neither plain nor zipped."""
    packed: BinaryIO = file.sink  # type: ignore[assignment]  # open_scratch made it.
    packed.seek(0)
    if _digest(iter(lambda: packed.read(_CHUNK_BYTES), b"")) == ref.sha256:
        return ()
    try:
        if _digest(unwrap(packed)) == ref.sha256:
            return ()
    except Refusal as refusal:
        if not is_no_zip(refusal):
            return refusal.violations
    return (violation("ATT.DIGEST", ref.name, rule="attachment:digest"),)


def _digest(chunks: Iterable[bytes]) -> str:
    digest = sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
