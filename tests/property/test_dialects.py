"""What is written in a dialect means the same when it is read again, for every dialect."""

import io
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axis.edxml import AttachmentRef, Document
from axis.edxml.codes import DOCUMENT_KINDS, LEGAL_KINDS
from axis.edxml.dialects import (
    DIALECTS,
    Cutter,
    Dialect,
    Packing,
    Policy,
    contents,
    media_type_of,
    normalise,
    render,
    with_files,
)
from axis.edxml.model import Message, Status
from axis.errors import Refusal
from tests.property.test_edxml import DOCUMENTS, STATUSES

_NAMES = st.from_regex(r"[a-z0-9]{1,10}( [a-z0-9]{1,10})?\.(pdf|docx|zip|txt|edxml|xyz)", fullmatch=True)
_FILES = st.lists(st.tuples(_NAMES, st.binary(max_size=2000)), max_size=3)
_TRACES = st.lists(
    st.tuples(
        st.sampled_from(["H56.05", "000.00.00.G22"]),
        st.integers(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
    ),
    max_size=3,
).map(tuple)
_LEGAL_ALONE = sorted(set(LEGAL_KINDS) - {kind.name for kind in DOCUMENT_KINDS})
# A kind has one group; a name that two groups have goes with either.
_KINDS = st.one_of(
    st.tuples(st.just(2), st.sampled_from([kind.name for kind in DOCUMENT_KINDS])),
    st.tuples(st.just(1), st.sampled_from(_LEGAL_ALONE)),
    st.just((1, "Quyết định")),
)


def _normal(
    document: Document,
    kind: tuple[int, str],
    detail: int | None,
    traces: tuple[tuple[str, datetime], ...],
    files: list[tuple[str, bytes]],
) -> tuple[Document, list[bytes]]:
    """Return a document in the one form, with its files."""
    refs = tuple(
        AttachmentRef(f"a{number}", name.strip(), media_type_of(name), sha256(content).hexdigest(), len(content), "tệp")
        for number, (name, content) in enumerate(files, 1)
    )
    group, name = kind
    # Older systems have no field for the hour of a timed document; what they fetch has left at its hour.
    named = replace(document, type_group=group, type_name=name, type_detail=detail, release_at=None)
    return replace(named, traces=traces, attachments=refs), [content for _, content in files]


_NORMAL = st.builds(_normal, DOCUMENTS, _KINDS, st.none() | st.integers(1, 999), _TRACES, _FILES)


def _read(octets: bytes, dialect: Dialect, piece: int) -> tuple[Message, list[bytes]]:
    sinks: list[io.BytesIO] = []

    def open_sink() -> io.BytesIO:
        sinks.append(io.BytesIO())
        return sinks[-1]

    cutter = Cutter(open_sink)
    for start in range(0, len(octets), piece):
        cutter.feed(octets[start : start + piece])
    normal = normalise(cutter.close(), Policy(dialect, takes_unsigned=True))
    names = [ref.name for ref in normal.message.attachments] if isinstance(normal.message, Document) else []
    files = [
        b"".join(contents(sink, name, dialect))  # type: ignore[arg-type]  # open_sink made it.
        for sink, name in zip(normal.sinks, names, strict=True)
    ]
    return with_files(normal.message, [(sha256(file).hexdigest(), len(file)) for file in files]), files


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@settings(max_examples=25, deadline=None)
@given(_NORMAL, st.integers(20, 9000))
def test_document_means_the_same_in_every_dialect(
    dialect: Dialect, normal: tuple[Document, list[bytes]], piece: int
) -> None:
    document, files = normal
    octets = b"".join(render(dialect, document, [[file] for file in files]))
    assert _read(octets, dialect, piece) == (document, files)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@settings(max_examples=15, deadline=None)
@given(STATUSES)
def test_status_means_the_same_in_every_dialect(dialect: Dialect, status: Status) -> None:
    octets = b"".join(render(dialect, status))
    assert _read(octets, dialect, len(octets)) == (status, [])


def _damaged(octets: bytes, where: float, what: bytes) -> bytes:
    at = int(where * len(octets))
    return octets[:at] + what + octets[at + len(what) :]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
@settings(max_examples=25, deadline=None)
@given(_NORMAL, st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6))
def test_whatever_comes_is_read_or_refused(
    dialect: Dialect, normal: tuple[Document, list[bytes]], where: float, what: bytes
) -> None:
    document, files = normal
    octets = _damaged(b"".join(render(dialect, document, [[file] for file in files])), where, what)
    with suppress(Refusal):
        _read(octets, dialect, len(octets))


@pytest.mark.parametrize(
    "dialect", [one for one in DIALECTS.values() if one.packing is Packing.PLAIN], ids=lambda dialect: dialect.name
)
def test_file_that_is_not_wrapped_may_begin_as_a_zip(dialect: Dialect) -> None:
    assert b"".join(contents(io.BytesIO(b"PK\x03\x04"), "0.pdf", dialect)) == b"PK\x03\x04"
