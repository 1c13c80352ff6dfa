"""Parsing: sealed bytes become a tree under caps, with its parts at fixed places.

Bytes are looked at first (size, encoding), then the tree's shape (DTD,
comments, depth, counts), and only then does anything look at a name. What
comes out is `Received`: well-formed, bounded, of a known kind - and still
nobody's word: only the seal makes it that. A document of the usual form has all
that by its `form`, and no tree until somebody asks for one.

Spec: docs/protocol/envelope.md; limits in `limits`.
"""

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import cast

from lxml import etree

from axis.edxml import limits
from axis.edxml.form import Formed, in_form
from axis.edxml.model import Kind, Notary
from axis.edxml.values import CLAIM_CHARS, DSIG, PROFILE, child, claim, q
from axis.errors import Refusal, refuse

# The signed parts of each kind, by the Id that the seal refers to.
PARTS: dict[Kind, tuple[str, ...]] = {Kind.DOCUMENT: ("header", "business", "manifest"), Kind.STATUS: ("header",)}

# Where each part stands below the root. A part anywhere else does not exist.
_PLACES: dict[str, tuple[str, ...]] = {
    "header": ("edXMLEnvelope", "edXMLHeader", "MessageHeader"),
    "business": ("edXMLEnvelope", "edXMLHeader", "TraceHeaderList", "Bussiness"),
    "manifest": ("edXMLEnvelope", "edXMLBody", "edXMLManifest"),
}

UTF_8 = ("utf-8", "utf8")  # How a declaration may write it, in any case.
_DECLARATION = re.compile(rb"<\?xml\s[^>]*\?>")
_DECLARED = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
_VERSION = re.compile(rb"""version\s*=\s*["']([^"']*)["']""")


@dataclass(frozen=True, slots=True)
class Received:
    """A well-formed sealed envelope within the caps. What it says is not yet anybody's word."""

    sealed: bytes
    digest: str  # SHA-256 of `sealed`, lower-case hex.
    kind: Kind
    originator: str  # From/OrganId as claimed.
    document_id: str  # DocumentId as claimed; for a status, of the document it is about.
    notary: Notary | None = None  # Who sealed it in the originator's place, as claimed.
    formed: Formed | None = field(default=None, compare=False)  # What it says, if it stands in the usual form.
    tree: etree._Element | None = field(default=None, compare=False)  # None: nobody has asked for `root` yet.

    @property
    def root(self) -> etree._Element:
        """The message as a tree."""
        if self.tree is None:
            object.__setattr__(self, "tree", load(self.sealed))
        return cast("etree._Element", self.tree)

    def part(self, name: str) -> etree._Element | None:
        """Return a part at its fixed place, or None.

        Raises:
            Refusal: SIG.POSITION; there are two on the way.
        """
        return _at(self.root, _PLACES[name])

    @property
    def header(self) -> etree._Element | None:
        """edXMLHeader, whose last child is the Signature."""
        return _at(self.root, ("edXMLEnvelope", "edXMLHeader"))

    @property
    def signature(self) -> etree._Element | None:
        """The Signature if it is where it must be: last in edXMLHeader."""
        header = self.header
        if header is None or len(header) == 0:
            return None
        last = header[-1]
        return last if last.tag == f"{{{DSIG}}}Signature" else None


def parse(sealed: bytes) -> Received:
    """Read one sealed envelope.

    Args:
        sealed: The message without inline attachments.

    Raises:
        Refusal: ENV.*; the first thing that is wrong.
    """
    formed = in_form(sealed)
    return _as_it_is(sealed) if formed is None else _as_formed(sealed, formed)


def _as_formed(sealed: bytes, formed: Formed) -> Received:
    return Received(
        sealed=sealed,
        digest=sha256(sealed).hexdigest(),
        kind=Kind.DOCUMENT,
        originator=formed.document.originator.organ_id,
        document_id=formed.document.document_id,
        formed=formed,
    )


def _as_it_is(sealed: bytes) -> Received:
    root = load(sealed)
    if root.tag != q("edXML"):
        raise refuse("ENV.WRONG_ROOT", _shown(root.tag), line=1, path="/*")
    header = _at(root, _PLACES["header"])
    if header is None:
        raise refuse("ENV.WRONG_ROOT", "edXMLEnvelope/edXMLHeader/MessageHeader", line=_line(root), path="/edXML:edXML")
    kind = Kind.STATUS if header.find(q("StatusCode")) is not None else Kind.DOCUMENT
    about = header if kind is Kind.DOCUMENT else header.find(q("ResponseFor"))
    return Received(
        sealed=sealed,
        digest=sha256(sealed).hexdigest(),
        kind=kind,
        originator=_text(header, "From", "OrganId"),
        document_id="" if about is None else _text(about, "DocumentId"),
        notary=_notary(header),
        tree=root,
    )


def load(xml: bytes, most_bytes: int = limits.MAX_ENVELOPE_BYTES) -> etree._Element:
    """Parse XML from outside: UTF-8, no DTD, no comments, within the caps.

    Raises:
        Refusal: ENV.*
    """
    _check_bytes(xml, most_bytes)
    # A parser of its own for each message: lxml parsers keep an error log and are not shared between threads.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        # Entities outside a DOCTYPE cannot be declared, so an undeclared one is the sign of a DTD gone missing.
        code = "ENV.DTD" if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml else "ENV.NOT_WELL_FORMED"
        raise refuse(code, _reason(error), line=error.lineno) from error
    _check_tree(root, xml)
    return root


def too_large(most_bytes: int) -> Refusal:
    """Return the refusal of a message that is larger; how much, nobody may have seen."""
    return refuse("ENV.TOO_LARGE", f"> {most_bytes} bytes")


def _check_bytes(xml: bytes, most_bytes: int) -> None:
    if len(xml) > most_bytes:
        raise too_large(most_bytes)
    if xml.startswith(b"\xef\xbb\xbf"):
        raise refuse("ENV.ENCODING", "byte order mark", line=1)
    if b"\x00" in xml:
        raise refuse("ENV.ENCODING", "NUL", line=xml.count(b"\n", 0, xml.index(b"\x00")) + 1)
    try:
        xml.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        raise refuse("ENV.ENCODING", f"byte {error.start}", line=xml.count(b"\n", 0, error.start) + 1) from error
    declaration = _DECLARATION.match(xml)
    if declaration is None:
        return
    declared = _DECLARED.search(declaration[0])
    if declared is not None and declared[1].decode("ascii", "replace").lower() not in UTF_8:
        raise refuse("ENV.ENCODING", declared[1].decode("ascii", "replace")[:40], line=1)
    version = _VERSION.search(declaration[0])
    if version is not None and version[1] != b"1.0":
        raise refuse("ENV.NOT_WELL_FORMED", "XML version must be 1.0", line=1)


def _check_tree(root: etree._Element, xml: bytes) -> None:
    """Refuse what the parser lets through and the axis does not, before any canonicalisation."""
    docinfo = root.getroottree().docinfo
    if docinfo.doctype or docinfo.internalDTD is not None or docinfo.externalDTD is not None:
        raise refuse("ENV.DTD", "DOCTYPE", line=1)
    # Siblings of the root can only be comments and processing instructions.
    if root.getprevious() is not None or root.getnext() is not None:
        raise refuse("ENV.COMMENT_OR_PI", "beside the root element")
    if not _is_within(root, xml):
        _walk(root)
    seen: set[str] = set()
    for element in cast("list[etree._Element]", _IDENTIFIED(root)):
        _check_ids(element, seen)


_MARKUP = re.compile(b"<[?!]")  # A declaration, if there is one, is the first thing in the bytes.
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (limits.MAX_DEPTH + 1)})")
_TOO_WIDE = etree.XPath(f"boolean(//*/@*[{limits.MAX_ATTRIBUTES + 1}])")


def _is_within(root: etree._Element, xml: bytes) -> bool:
    """Whether a message is surely within the caps: bytes that are counted can only say too much of what they open.

    To walk the tree in Python takes longer than to parse it, and nearly every message is far from every cap.
    """
    return (
        xml.count(b"<") <= limits.MAX_ELEMENTS
        and xml.count(b"xmlns") <= limits.MAX_NAMESPACES
        and _MARKUP.search(xml, 1) is None
        and not _TOO_DEEP(root)
        and not _TOO_WIDE(root)
    )


def _walk(root: etree._Element) -> None:
    """Look at every element, and say which is too much."""
    count = 0
    depth = 0
    scope = [0]  # Namespaces declared along the open path.
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event == "start":
            count += 1
            depth += 1
            if count > limits.MAX_ELEMENTS:
                raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_ELEMENTS} elements", line=_line(element))
            if depth > limits.MAX_DEPTH:
                raise refuse("ENV.TOO_COMPLEX", f"deeper than {limits.MAX_DEPTH}", line=_line(element))
            if len(element.attrib) > limits.MAX_ATTRIBUTES:
                raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_ATTRIBUTES} attributes", line=_line(element))
            parent = element.getparent()
            # nsmap is costly; it differs from the parent's only where something is declared.
            here = scope[-1] if parent is not None and element.nsmap == parent.nsmap else len(element.nsmap)
            if here > limits.MAX_NAMESPACES:
                raise refuse("ENV.TOO_COMPLEX", f"more than {limits.MAX_NAMESPACES} namespaces", line=_line(element))
            scope.append(here)
        elif event == "end":
            depth -= 1
            scope.pop()
        else:
            raise refuse("ENV.COMMENT_OR_PI", _reason_of_node(element), line=_line(element))


_ID_NAMES = ("id", "Id", "ID", "iD")
# From each element to its attributes. The other way round is quicker for few of them, and libxml2 takes a second for 50,000.
_IDENTIFIED = etree.XPath(f"//*[@*[{' or '.join(f'local-name()={name!r}' for name in _ID_NAMES)}]]")


def _check_ids(element: etree._Element, seen: set[str]) -> None:
    """Let an Id be what a Reference can mean: one attribute `Id`, one element."""
    for name, value in element.attrib.items():
        local = name.rsplit("}", 1)[-1]
        if local not in _ID_NAMES:
            continue
        # TraceHeaderList may carry a lower-case id (QCVN 102 clause 2); no Reference of ours can point at it.
        if name == "id" and element.tag == q("TraceHeaderList"):
            continue
        if name != "Id":
            raise refuse("ENV.ID_ATTRIBUTE", local, line=_line(element))
        if value in seen:
            raise refuse("SIG.DUPLICATE_ID", str(value)[:40], line=_line(element))
        seen.add(str(value))


def _at(root: etree._Element, place: tuple[str, ...]) -> etree._Element | None:
    """Walk down by name; more than one element of a name on the way is a wrapping trick and refused."""
    here = root
    for name in place:
        found = list(here.iterchildren(q(name)))
        if not found:
            return None
        if len(found) > 1:
            raise refuse("SIG.POSITION", f"{name} occurs {len(found)} times", line=_line(found[1]))
        here = found[0]
    return here


_NOTARY, _ORIGINAL = f"{{{PROFILE}}}notary", f"{{{PROFILE}}}original"


def _notary(header: etree._Element) -> Notary | None:
    """Return the notary's mark; half of one is one, too."""
    notary, original = header.get(_NOTARY), header.get(_ORIGINAL)
    if notary is None and original is None:
        return None
    return Notary(str(notary or "")[:CLAIM_CHARS], str(original or "")[:CLAIM_CHARS])


def _text(element: etree._Element, *path: str) -> str:
    found = child(element, *path)
    return "" if found is None else claim(found.text)


def _line(element: etree._Element) -> int | None:
    return int(element.sourceline) if element.sourceline is not None else None


def _reason(error: etree.XMLSyntaxError) -> str:
    return (error.msg or "syntax").split(", line")[0][:200]


def _reason_of_node(node: etree._Element) -> str:
    return "comment" if isinstance(node, etree._Comment) else "processing instruction"


def _shown(tag: object) -> str:
    return str(tag)[:120]
