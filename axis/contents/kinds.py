"""Kinds: which contents there are, and how one is told from any other attachment.

A content is an attachment whose ContentType in the manifest names a kind and a
version, under a fixed name. It is sealed like every file, so a system that does
not know the kind sees a document with a file.

Spec: docs/protocol/contents.md 1.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from lxml import etree

from axis.edxml import AttachmentRef
from axis.edxml.values import PREFIXES

MAX_CONTENT_BYTES = 1024 * 1024
_OURS = "application/vnd.axis."  # Every media type that begins so says that the axis knows what is in it.
HEAD_BYTES = 4096
_BLANKS = re.compile(r"\s+")


class Kind(StrEnum):
    """Which content it is."""

    DOSSIER = "dossier"  # Hồ sơ.
    TASK = "task"  # Nhiệm vụ.
    INVITATION = "invitation"  # Giấy mời.


@dataclass(frozen=True, slots=True)
class Row:
    """How one kind looks from outside."""

    kind: Kind
    namespace: str
    schema: str
    content_type: str
    file_name: str

    @property
    def prefix(self) -> str:
        """What a path writes before its names, "dos:"."""
        return PREFIXES[self.namespace]


KINDS = {
    kind: Row(kind, f"urn:axis:{kind}:1", f"{kind}-1", f"{_OURS}{kind}+xml;version=1", file_name)
    for kind, file_name in (
        (Kind.DOSSIER, "ho-so.xml"),
        (Kind.TASK, "nhiem-vu.xml"),
        (Kind.INVITATION, "giay-moi.xml"),
    )
}
_BY_TYPE = {row.content_type: row for row in KINDS.values()}
_BY_NAME = {row.file_name: row for row in KINDS.values()}
_BY_NAMESPACE = {row.namespace: row for row in KINDS.values()}


def claims(ref: AttachmentRef) -> bool:
    """Tell whether an attachment says that it is a content, of a kind that we know or not."""
    return ref.content_type[: len(_OURS)].casefold() == _OURS


def row_of(ref: AttachmentRef) -> Row | None:
    """Return the kind that an attachment says it is; None if there is no such kind, or not in that version."""
    return _BY_TYPE.get(_BLANKS.sub("", ref.content_type).casefold())


def row_in(xml: bytes) -> Row | None:
    """Return the kind whose namespace the root of an XML file has, from its first bytes; None if it is no content."""
    parser = etree.XMLPullParser(("start",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        parser.feed(xml[:HEAD_BYTES])
    except etree.XMLSyntaxError:
        return None
    for _, root in parser.read_events():
        return _BY_NAMESPACE.get(etree.QName(root).namespace or "")
    return None


def content_type_of(name: str, xml: bytes) -> str:
    """Return the media type of a file that has the name and the root of a content; "" for any other file.

    Args:
        name: The file's name.
        xml: The file, or its beginning.
    """
    row = _BY_NAME.get(name)
    return row.content_type if row is not None and row_in(xml) is row else ""


def is_content_name(name: str) -> bool:
    """Tell whether a file has a name that contents have."""
    return name in _BY_NAME


def listed(refs: Sequence[AttachmentRef]) -> tuple[AttachmentRef, ...]:
    """Return the attachments that say they are contents: of an ordinary document, none."""
    return tuple(ref for ref in refs if claims(ref))
