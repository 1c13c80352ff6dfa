"""Writing: a message in the words of a dialect, so that an older system can read it.

The message is rendered in today's form first, and each element is then copied
under the names, in the order and with the dates of the dialect. What a dialect
has no place for is written all the same, in its namespace, behind what it
knows: readers pass over what they do not know, and nothing is lost. Files come
in as a stream; none of them is ever held.

Spec: docs/protocol/dialects.md 6.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote

from lxml import etree

from axis.edxml.dialects.files import OCTETS, ZIP
from axis.edxml.dialects.mime import RELATED
from axis.edxml.dialects.table import SOAP, XLINK, Clock, Dialect, Frame, Package, Packing
from axis.edxml.inline import Packed
from axis.edxml.model import AttachmentRef, Document, Message
from axis.edxml.render import render as render_today
from axis.edxml.values import child, parse_date, parse_timestamp, q
from axis.errors import refuse

_ROOT_ID = "message"
_ROOT = f"Content-Type: text/xml; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <{_ROOT_ID}>\r\n\r\n"
_DAYS = frozenset({"PromulgationDate", "DueDate"})


@dataclass(frozen=True, slots=True)
class Rendering:
    """A message around its files: `pieces[n]`, then the n-th file as `packed` writes it, then the next piece."""

    pieces: tuple[bytes, ...]
    refs: tuple[AttachmentRef, ...]
    dialect: Dialect
    media_type: str = "application/xml"

    def packed(self, ref: AttachmentRef) -> Packed:
        """Return what writes a file as the dialect carries it."""
        return Packed(ref, zipped=self.dialect.packing is Packing.ZIP)


def render(dialect: Dialect, message: Message, files: Iterable[Iterable[bytes]] = ()) -> Iterator[bytes]:
    """Yield a message in a dialect.

    Args:
        dialect: Which.
        message: As it was normalised, or read from an envelope.
        files: The content of each attachment in chunks, in order.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED, ATT.SIZE
    """
    rendering = rendered(dialect, message)
    yield rendering.pieces[0]
    for ref, chunks, piece in zip(rendering.refs, files, rendering.pieces[1:], strict=True):
        yield from rendering.packed(ref).all(chunks)
        yield piece


def rendered(dialect: Dialect, message: Message) -> Rendering:
    """Return a message in a dialect, with room for its files.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED; a text holds a character that XML has no way to write.
    """
    today = render_today(message)
    mark = sha256(today).hexdigest()  # No text can hold the digest of itself.
    source = etree.fromstring(today, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
    refs = message.attachments if isinstance(message, Document) else ()
    root = _FRAMES[dialect.frame](_Writer(dialect, mark, refs), source)
    octets = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    if refs and dialect.package is Package.MIME:
        return Rendering(_in_parts(octets, refs, mark), refs, dialect, _related(mark))
    pieces = octets.split(mark.encode())
    if len(pieces) != len(refs) + 1:
        raise AssertionError("each file has one place")
    return Rendering(tuple(pieces), refs, dialect)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Copies elements into a dialect."""

    dialect: Dialect
    mark: str  # Where a file will stand.
    refs: tuple[AttachmentRef, ...]

    def name(self, local: str) -> str:
        return f"{{{self.dialect.namespace}}}{local}"

    def add(self, parent: etree._Element, local: str, text: str = "") -> etree._Element:
        added = etree.SubElement(parent, self.name(local))
        added.text = text or None
        return added

    def copy(self, source: etree._Element, parent: etree._Element) -> etree._Element:
        """Copy an element with all below it."""
        local = etree.QName(source).localname
        copied = self.add(parent, local, self._value(local, source.text or ""))
        order = self.dialect.order.get(local, ())
        places = {q(name): number for number, name in enumerate(order)}
        for one in sorted(source, key=lambda one: places.get(str(one.tag), len(places))):
            self.copy(one, copied)
        self._complete(local, copied)
        return copied

    def _value(self, local: str, text: str) -> str:
        if not text.strip() or self.dialect.clock is Clock.EDXML:
            return text
        if local in _DAYS:
            day = parse_date(text)
            is_iso = self.dialect.clock is Clock.ISO
            return day.isoformat() if is_iso else f"{day.day:02}/{day.month:02}/{day.year:04}"
        if local == "Timestamp":
            parse_timestamp(text)
            year, month, rest = text.split("/")
            day_text, clock = rest.split(" ")
            if self.dialect.clock is Clock.ISO:
                return f"{year}-{month}-{day_text}T{clock}+07:00"
            return f"{day_text}/{month}/{year} {clock}"
        return text

    def _complete(self, local: str, copied: etree._Element) -> None:
        """Add what readers of a dialect want to see, and take away what they misread."""
        if local == "OtherInfo" and self.dialect.is_complete:
            before = copied.getprevious()
            if before is not None and before.tag != self.name("DueDate"):
                copied.addprevious(etree.Element(self.name("DueDate")))
        if local == "DocumentType" and self.dialect.flat_type:
            kind, detail = copied.find(self.name("Type")), copied.find(self.name("TypeDetail"))
            # Below 3 a flat number could be taken for a group.
            if kind is not None and detail is not None and kind.text == "2" and int(detail.text or 0) > 2:
                kind.text = detail.text
                copied.remove(detail)

    def references(self, manifest: etree._Element) -> None:
        """Say of each file how it is carried."""
        for reference in manifest.iterfind(self.name("Reference")):
            if self.dialect.packing is Packing.ZIP:
                kind = reference.find(self.name("ContentType"))
                if kind is not None:
                    kind.text = ZIP
            if self.dialect.frame is Frame.SOAP:
                content_id = reference.find(self.name("ContentId"))
                if content_id is not None:
                    is_part = self.dialect.package is Package.MIME
                    href = content_id.text or ""
                    reference.set(f"{{{XLINK}}}href", f"cid:{_part_id(href.removeprefix('cid:'))}" if is_part else href)

    def attachments(self, parent: etree._Element) -> None:
        """Add the files behind the message."""
        if not self.refs or self.dialect.package is Package.MIME:
            return
        encoded = self.add(parent, "AttachmentEncoded")
        for ref in self.refs:
            one = self.add(encoded, "Attachment")
            self.add(one, "ContentId", f"cid:{ref.content_id}")
            self.add(one, "AttachmentName", ref.name)
            self.add(one, "Description", ref.description)
            self.add(one, "ContentType", ZIP if self.dialect.packing is Packing.ZIP else ref.content_type)
            content = etree.SubElement(
                one,
                self.name("ContentTransferEncoded"),
                nsmap={"edXML": self.dialect.namespace} if self.dialect.prefixed else {},
            )
            content.text = self.mark

    def ending(self, header: etree._Element) -> None:
        """End a header as readers of a dialect want it."""
        if self.dialect.is_complete:
            self.add(header, "ErrorList")
        if self.dialect.signature:
            self.add(header, self.dialect.signature)


def _parts(source: etree._Element) -> tuple[etree._Element, etree._Element | None, etree._Element | None]:
    header = child(source, "edXMLEnvelope", "edXMLHeader", "MessageHeader")
    if header is None:
        raise refuse("ENV.WRONG_ROOT", "MessageHeader")
    traces = child(source, "edXMLEnvelope", "edXMLHeader", "TraceHeaderList")
    return header, traces, child(source, "edXMLEnvelope", "edXMLBody", "edXMLManifest")


def _in_edxml(writer: _Writer, source: etree._Element) -> etree._Element:
    header, traces, manifest = _parts(source)
    space = writer.dialect.namespace
    root = etree.Element(writer.name("edXML"), nsmap={None: space})
    envelope = etree.SubElement(
        root, writer.name("edXMLEnvelope"), nsmap={"edXML": space} if writer.dialect.prefixed else {}
    )
    head = writer.add(envelope, "edXMLHeader")
    writer.copy(header, head)
    if traces is not None:
        writer.copy(traces, head)
        writer.ending(head)
    if manifest is not None:
        copied = writer.copy(manifest, writer.add(envelope, "edXMLBody"))
        copied.set("version", "1.0")
        writer.references(copied)
    writer.attachments(root)
    return root


def _in_soap(writer: _Writer, source: etree._Element) -> etree._Element:
    header, traces, manifest = _parts(source)
    spaces = {"SOAP-ENV": SOAP, "edXML": writer.dialect.namespace, "xlink": XLINK}
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap=spaces)
    head = etree.SubElement(root, f"{{{SOAP}}}Header")
    body = etree.SubElement(root, f"{{{SOAP}}}Body")
    if traces is None and writer.dialect.status_in_body:
        writer.copy(header, body).tag = writer.name("Status")
    else:
        writer.copy(header, head)
    if traces is not None:
        writer.copy(traces, head)
    if manifest is not None:
        copied = writer.copy(manifest, body)
        copied.tag = writer.name("Manifest")
        writer.references(copied)
    writer.attachments(root)
    return root


def _in_parts(root: bytes, refs: Iterable[AttachmentRef], boundary: str) -> tuple[bytes, ...]:
    """Return what stands around the files of a message in parts. Base64 holds no `-`, so that no file ends its part."""
    heads = [f"--{boundary}\r\n{_ROOT}".encode() + root]
    heads += [
        f"--{boundary}\r\nContent-Type: {_header(ref.content_type)}\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-ID: <{_part_id(ref.content_id)}>\r\n\r\n".encode()
        for ref in refs
    ]
    first, *between = [b"\r\n" + head for head in heads]
    return (first.removeprefix(b"\r\n") + between[0], *between[1:], f"\r\n--{boundary}--\r\n".encode())


def _related(boundary: str) -> str:
    return f'{RELATED}; type="text/xml"; boundary="{boundary}"; start="<{_ROOT_ID}>"'


def _part_id(content_id: str) -> str:
    """Return an id as a header and a URL can hold it (RFC 2392)."""
    return quote(content_id, safe="")


def _header(text: str) -> str:
    """Return a media type as a header can hold it; the manifest says it anyway."""
    return text if text.isascii() and text.isprintable() else OCTETS


def _bare(writer: _Writer, source: etree._Element) -> etree._Element:
    header, traces, manifest = _parts(source)
    root = etree.Element(writer.name("EdXMLEnvelope"), nsmap={None: writer.dialect.namespace})
    copied = writer.copy(header, root)
    name = writer.name
    kind = copied.find(name("DocumentType"))
    if kind is not None:
        texts = {etree.QName(one).localname: one.text or "" for one in kind}
        kind[:] = []
        kind.text = texts.pop("TypeName", None)
        kind.attrib.update(texts)
    signer = copied.find(f"{name('SignerInfo')}/{name('FullName')}")
    place = copied.find(name("PromulgationInfo"))
    if signer is not None:
        signer.tag = name("Signer")
        if place is not None:
            promulgator = writer.add(place, "Promulgator", signer.text or "")
            place.insert(0, promulgator)
    if traces is not None:
        list_ = writer.copy(traces, copied)
        for trace in list_.iterfind(name("TraceHeader")):
            organ_id, at = trace[0].text or "", trace[1].text or ""
            trace[:] = []
            writer.add(trace, "Time", at)
            path = writer.add(trace, "Path")
            writer.add(path, "From", organ_id)
            writer.add(path, "To", copied.findtext(f"{name('To')}/{name('OrganId')}") or "")
    if manifest is not None:
        files = writer.add(root, "Manifest")
        for ref in writer.refs:
            one = writer.add(files, "Attachment")
            writer.add(one, "Content", writer.mark)
            writer.add(one, "FileName", ref.name)
            writer.add(one, "FileType", ref.content_type)
            writer.add(one, "ContentId", f"cid:{ref.content_id}")
            writer.add(one, "Description", ref.description)
    return root


_FRAMES = {Frame.EDXML: _in_edxml, Frame.SOAP: _in_soap, Frame.BARE: _bare}
