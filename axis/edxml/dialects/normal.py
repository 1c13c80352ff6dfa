"""Normalising: a message of a dialect becomes the message that it means, and what was tolerated on the way.

The tree is brought into today's form in place, so that each element keeps the
line on which it stood: names, order and frame first, then what each field
means. What results is held against the schema of today, and is read as any
other message is. Nothing is guessed: what has no one meaning stays as it is,
and the schema or the rules refuse it.

Spec: docs/protocol/dialects.md 2 to 5; QCVN 102:2016.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import unquote

from lxml import etree

from axis.edxml import codes, limits
from axis.edxml.dialects.cut import Carried, Cut, put_on_line
from axis.edxml.dialects.files import ZIP, media_type_of
from axis.edxml.dialects.mime import RELATED
from axis.edxml.dialects.quirks import Quirk, Tolerated
from axis.edxml.dialects.table import SOAP, XLINK, Frame, Policy
from axis.edxml.gate import gate
from axis.edxml.model import AttachmentRef, Document, Kind, Message
from axis.edxml.parse import Received
from axis.edxml.read import read_traces, read_trees
from axis.edxml.split import Sink
from axis.edxml.values import (
    DSIG,
    EDXML,
    ORGAN_ID,
    PROFILE,
    VIETNAM,
    child,
    collapse,
    format_timestamp,
    parse_timestamp,
    q,
)
from axis.errors import Refusal, Violation, refuse, violation

# The children of an element in the order of today's schema, where that asks for one.
_ORDER = {
    "MessageHeader": (
        "From", "To", "DocumentId", "Code", "PromulgationInfo", "DocumentType", "Subject", "Content", "SignerInfo", "DueDate",
        "OtherInfo", "ResponseFor", "SteeringType", "ResponseForTask", "ToPlaces", "StaffInfo", "StatusCode", "Description", "Timestamp",
    ),
    "Code": ("CodeNumber", "CodeNotation"),
    "PromulgationInfo": ("Place", "PromulgationDate"),
    "DocumentType": ("Type", "TypeDetail", "TypeName"),
    "SignerInfo": ("Competence", "Position", "FullName"),
    "OtherInfo": (
        "Priority", "SphereOfPromulgation", "TyperNotation", "PromulgationAmount", "PageAmount", "Direction", "Appendixes",
    ),
    "Bussiness": (
        "DocumentId", "BussinessDocType", "BussinessDocReason", "Paper", "BussinessDocumentInfo", "ReplacementInfoList", "StaffInfo",
    ),
    "BussinessDocumentInfo": ("DocumentInfo", "DocumentReceiver", "ReceiverList"),
    "Receiver": ("OrganId", "ReceiverType"),
    "ReplacementInfo": ("DocumentId", "OrganIdList"),
    "Reference": ("ContentId", "ContentType", "Description", "AttachmentName"),
}  # fmt: skip
_NAMES = {
    name.casefold(): name
    for name in (
        *_ORDER, *(one for children in _ORDER.values() for one in children),
        "edXML", "edXMLEnvelope", "edXMLHeader", "edXMLBody", "edXMLManifest", "TraceHeaderList", "TraceHeader", "Timestamp",
        "OrganId", "OrganizationInCharge", "OrganName", "OrganAdd", "Email", "Telephone", "Fax", "Website", "Appendix",
        "Department", "Staff", "Mobile", "TaskCode", "ReceiverList", "OrganIdList", "ReplacementInfoList",
        "AttachmentEncoded", "Attachment", "ContentTransferEncoded",
    )
}  # fmt: skip
_OTHER_NAMES = {
    "envelope": "edXMLEnvelope",
    "header": "edXMLHeader",
    "body": "edXMLBody",
    "manifest": "edXMLManifest",
    "organincharge": "OrganizationInCharge",
    "signer": "FullName",
    "filename": "AttachmentName",
    "filetype": "ContentType",
    "business": "Bussiness",
    "businessdoctype": "BussinessDocType",
    "businessdocreason": "BussinessDocReason",
}
_FRAMES = {"envelope", "header", "body"}  # In the namespace of SOAP.
_HALVES = ("edXMLHeader", "edXMLBody")
_SIGNATURES = frozenset({"signature", "digitalsignature"})
# Known in the field, and nothing that the axis or an addressee acts on. The original keeps them.
_LEFT_OUT = frozenset(
    ["errorlist", "applicationtype", "feedback", "agency", "replyfors", "referencecodes", "departmentid",
     "staffid", "promulgator", "fieldname", "mimetype"]
)  # fmt: skip
_OF_STATUS = frozenset({"From", "ResponseFor", "StaffInfo", "StatusCode", "Description", "Timestamp"})
_MOST = 200  # Quirks that are noted, and violations: beyond that the file is not what it claims to be.

# What is not the dialect at all, or a hundred times too much of it: a schema would have an endless lot to say.
_HOPELESS = frozenset({"ENV.DIALECT", "ATT.COUNT"})

_DAY_FIRST = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?: ([0-9]{2}:[0-9]{2}:[0-9]{2}))?")
_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_NOTHING = "0" * 64  # Stands where the digest of a file will stand, for the schema.


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in a message."""

    kind: Kind | None
    message: Message | None  # None: it cannot be read; its attachments have no digests yet.
    sinks: tuple[Sink, ...]  # One for each attachment of the message, in order.
    tolerated: tuple[Tolerated, ...]
    violations: tuple[Violation, ...]
    received: Received | None = None  # In today's form, with the lines of the original.


@dataclass(frozen=True, slots=True)
class Normalised:
    """A message in the one form, before anybody has looked into its files."""

    message: Message
    sinks: tuple[Sink, ...]
    tolerated: tuple[Tolerated, ...]


def normalise(cut: Cut, policy: Policy) -> Normalised:
    """Return what a message means; its tree is used up.

    Raises:
        Refusal: ENV.*, SIG.*, ATT.* or RULE.DATE, with every violation that was found.
    """
    judged = judge(cut, policy)
    if judged.message is None or judged.violations:
        raise Refusal(judged.violations)
    return Normalised(judged.message, judged.sinks, judged.tolerated)


def with_files(message: Message, files: Sequence[tuple[str, int]]) -> Message:
    """Return a message whose attachments have the digest and size of what was in them.

    Args:
        message: As it was normalised.
        files: SHA-256 in hex and size of each attachment, in order.
    """
    if not isinstance(message, Document):
        return message
    refs = [
        replace(ref, sha256=digest, size_bytes=size)
        for ref, (digest, size) in zip(message.attachments, files, strict=True)
    ]
    return replace(message, attachments=tuple(refs))


def is_sealed(cut: Cut) -> bool:
    """Tell whether a message carries a seal of the profile: then that is what it is judged by."""
    references = cut.root.iter(f"{{{DSIG}}}Reference")
    return any(reference.get("URI") == "#header" for reference in references)


def judge(cut: Cut, policy: Policy) -> Judged:
    """Find what a message means, what is tolerated in it and what is wrong with it; its tree is used up."""
    work = _Work(policy, list(cut.tolerated))
    try:
        return work.judge(cut)
    except Refusal as refusal:
        return Judged(None, None, (), tuple(work.tolerated), (*work.violations, *refusal.violations))


@dataclass
class _Work:
    """One message on its way."""

    policy: Policy
    tolerated: list[Tolerated]
    violations: list[Violation] = field(default_factory=list)
    signatures: list[etree._Element] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)  # Namespaces that are not the dialect's.

    def note(self, quirk: Quirk, detail: str, element: etree._Element | None) -> None:
        """Say once that something is tolerated."""
        known = any(one.quirk is quirk and one.detail == detail for one in self.tolerated)
        if not known and len(self.tolerated) < _MOST:
            self.tolerated.append(Tolerated(quirk, detail, None if element is None else _line(element)))

    def complain(
        self, code: str, detail: str, element: etree._Element | None, *, rule: str, detail_vi: str | None = None
    ) -> None:
        """Say that something is wrong."""
        if len(self.violations) < _MOST:
            line = None if element is None else _line(element)
            self.violations.append(violation(code, detail, detail_vi=detail_vi, line=line, rule=rule))

    def judge(self, cut: Cut) -> Judged:
        root = cut.root
        if cut.is_mime and self.policy.dialect.frame is not Frame.SOAP:
            self.complain("ENV.DIALECT", RELATED, root, rule="dialect:package")
        self._retag(root)
        header, traces, manifest = self._unframe(root)
        self._judge_signature()
        for one in (*header.iter(), *traces.iter(), *manifest.iter()):
            if _in_order(one) != list(one):
                self.note(Quirk.ORDER, _local(one), one)
        kind = Kind.STATUS if child(header, "StatusCode") is not None else Kind.DOCUMENT
        carried = {id(one.element): one for one in cut.files}
        if kind is Kind.STATUS:
            self._status(header)
            linked: list[Carried] = []
        else:
            self._document(header)
            self._traces(traces)
            linked = self._files(manifest, cut.files, carried)
        for element in (header, traces, manifest):
            for one in list(element.iter()):
                self._dates(one)
                self._strip(one)
                ordered = _in_order(one)
                if ordered != list(one):
                    one[:] = ordered
        received = _assembled(kind, header, traces, manifest)
        if any(found.code in _HOPELESS for found in self.violations):
            return Judged(kind, None, (), tuple(self.tolerated), tuple(self.violations), received)
        try:
            gate(received)
        except Refusal as refusal:
            found = (*self.violations, *refusal.violations)
            return Judged(kind, None, (), tuple(self.tolerated), found, received)
        parts = {"header": header, "business": child(traces, "Bussiness"), "manifest": manifest}
        message = read_trees(kind, {name: part for name, part in parts.items() if part is not None})
        if isinstance(message, Document):
            message = replace(message, traces=read_traces(received), attachments=_unresolved(message))
        return Judged(
            kind,
            message,
            tuple(one.sink for one in linked),
            tuple(self.tolerated),
            tuple(self.violations),
            received,
        )

    # --- names and places -------------------------------------------------------------------

    def _retag(self, root: etree._Element) -> None:
        """Give every element the namespace and the name of today; take out signatures, and what nobody uses."""
        dialect = self.policy.dialect
        spaces = {EDXML, dialect.namespace, ""}
        open_elements = [root]
        while open_elements:
            element = open_elements.pop()
            name = etree.QName(element)
            folded, space = name.localname.casefold(), name.namespace or ""
            if folded in _SIGNATURES or folded in _LEFT_OUT:
                parent = element.getparent()
                if parent is not None:
                    parent.remove(element)
                if folded in _SIGNATURES:
                    self.signatures.append(element)
                else:
                    self.note(Quirk.LEFT_OUT, name.localname, element)
                continue
            if space == SOAP and folded in _FRAMES and dialect.frame is Frame.SOAP:
                pass
            elif space not in spaces:
                self._foreign(space, element)
            elif space != EDXML:
                self.note(Quirk.NAMESPACE, space or "—", element)
            today = _NAMES.get(folded) or _OTHER_NAMES.get(folded, name.localname)
            if today != name.localname and folded not in _FRAMES:
                self.note(Quirk.NAME, f"{name.localname} ({today})", element)
            element.tag = q(today)
            open_elements += reversed(element)

    def _foreign(self, space: str, element: etree._Element) -> None:
        if space not in self.foreign:
            self.foreign.add(space)
            self.complain("ENV.DIALECT", space[:120], element, rule="dialect:namespace")

    def _unframe(self, root: etree._Element) -> tuple[etree._Element, etree._Element, etree._Element]:
        """Return MessageHeader, TraceHeaderList and edXMLManifest, wherever the dialect has them.

        Raises:
            Refusal: ENV.WRONG_ROOT, ENV.SCHEMA
        """
        if root.tag == q("edXML"):
            envelope, frame = self._sole(root, "edXMLEnvelope"), Frame.EDXML
        elif root.tag == q("edXMLEnvelope"):
            envelope, frame = root, Frame.SOAP if any(child(root, one) is not None for one in _HALVES) else Frame.BARE
        else:
            raise refuse("ENV.WRONG_ROOT", str(etree.QName(root).localname)[:120], line=_line(root), path="/*")
        if envelope is None:
            raise refuse("ENV.WRONG_ROOT", "edXMLEnvelope", line=_line(root), path="/edXML:edXML")
        if frame is not Frame.EDXML:
            self.note(Quirk.FRAME, frame.value, root)
            if frame is not self.policy.dialect.frame:
                self.complain("ENV.DIALECT", frame.value, root, rule="dialect:frame")
        head = self._sole(envelope, "edXMLHeader")
        head = envelope if head is None else head
        body = self._sole(envelope, "edXMLBody")
        header = self._sole(head, "MessageHeader")
        if header is None and frame is Frame.SOAP and body is not None:
            header = self._status_in(body)
        if header is None:
            raise refuse("ENV.WRONG_ROOT", "MessageHeader", line=_line(envelope), path="/edXML:edXML")
        within = self._sole(header, "TraceHeaderList")
        traces = self._sole(head, "TraceHeaderList") if within is None else within
        manifest = self._sole(envelope if body is None else body, "edXMLManifest")
        self._rest((root, envelope, head, body), (envelope, header, traces, manifest))
        if within is not None:
            header.remove(within)
        return (
            header,
            etree.Element(q("TraceHeaderList")) if traces is None else traces,
            etree.Element(q("edXMLManifest")) if manifest is None else manifest,
        )

    def _status_in(self, body: etree._Element) -> etree._Element | None:
        """Return a status that stands in the body of SOAP, as what it is elsewhere.

        Raises:
            Refusal: ENV.SCHEMA
        """
        status = self._sole(body, "Status")
        if status is not None:
            self.note(Quirk.NAME, "Status (MessageHeader)", status)
            status.tag = q("MessageHeader")
        return status

    def _sole(self, parent: etree._Element, name: str) -> etree._Element | None:
        """Return the child of a name; two of them would let readers see two messages.

        Raises:
            Refusal: ENV.SCHEMA
        """
        found = list(parent.iterchildren(q(name)))
        if len(found) > 1:
            raise refuse("ENV.SCHEMA", f"{name} occurs {len(found)} times", line=_line(found[1]), rule="dialect:once")
        return found[0] if found else None

    def _rest(self, holders: tuple[etree._Element | None, ...], known: tuple[etree._Element | None, ...]) -> None:
        """Refuse what stands beside the parts and is nothing that one knows."""
        frames = {"edXMLHeader", "edXMLBody", "AttachmentEncoded"}
        for holder in {id(one): one for one in holders if one is not None}.values():
            for one in holder:
                if not any(one is part for part in known) and _local(one) not in frames:
                    name = _local(one)[:80]
                    vi = f"không biết {name} ở đây"
                    self.complain("ENV.SCHEMA", f"{name} is not known here", one, rule="dialect:unknown", detail_vi=vi)

    def _judge_signature(self) -> None:
        """Say what a signature is worth; without a seal of the profile a message is taken only where the roll says so."""
        real = [one for one in self.signatures if len(one) or collapse(one.text)]
        if real:
            method = next((one.get("Algorithm", "") for one in real[0].iter() if _local(one) == "SignatureMethod"), "")
            space = etree.QName(real[0]).namespace
            detail = f"{'ds:' if space == DSIG else ''}Signature {method.rpartition('#')[2]}".strip()[:80]
            quirk, code, place = Quirk.SIGNATURE, "SIG.LEGACY", real[0]
        else:
            detail, quirk, code, place = "", Quirk.UNSIGNED, "SIG.MISSING", None
        if self.policy.takes_unsigned:
            self.note(quirk, detail, place)
        else:
            self.complain(code, detail, place, rule="dialect:unsigned")

    def _strip(self, element: etree._Element) -> None:
        for name in list(element.attrib):
            if not str(name).startswith(f"{{{PROFILE}}}"):
                del element.attrib[name]

    # --- what fields mean -------------------------------------------------------------------

    def _dates(self, element: etree._Element) -> None:
        write = _WRITTEN_ANEW.get(_local(element))
        said = collapse(element.text)
        if write is None or not said:
            return
        today = write(said)
        if today != said:
            self.note(Quirk.DATE, _local(element), element)
            element.text = today

    def _blank(self, header: etree._Element) -> None:
        for one in header.iter():
            if collapse(one.text) in self.policy.dialect.blanks and len(one) == 0:
                self.note(Quirk.BLANK, _local(one), one)
                one.text = None

    def _status(self, header: etree._Element) -> None:
        self._blank(header)
        for one in list(header):
            if _local(one) not in _OF_STATUS and _local(one) in _ORDER["MessageHeader"]:
                self.note(Quirk.LEFT_OUT, _local(one), one)
                header.remove(one)

    def _document(self, header: etree._Element) -> None:
        self._blank(header)
        for one in list(header.iterchildren(q("ResponseFor"))):
            if not any(collapse(field.text) for field in one):
                self.note(Quirk.RESPONSE, "", one)
                header.remove(one)
        for one in list(header.iterchildren(q("ResponseForTask"))):
            _drop_blank(one)
            if len(one) == 0:
                header.remove(one)
        self._type(child(header, "DocumentType"))
        self._require(header, "OtherInfo")
        other = child(header, "OtherInfo")
        if other is not None:
            self._require(other, "Priority", "0")
            self._appendixes(other)
        self._require(header, "SteeringType", "0")
        for parent, name in (("PromulgationInfo", "Place"), ("SignerInfo", "Position")):
            holder = child(header, parent)
            if holder is not None:
                self._require(holder, name)
        if not _text(header, "DocumentId"):
            self._make_document_id(header)

    def _require(self, parent: etree._Element, name: str, value: str = "") -> None:
        """Add an element that today's schema asks for, where its absence has one meaning."""
        there = child(parent, name)
        if there is not None and (collapse(there.text) or not value):
            return
        if there is None:
            there = _add(parent, name)
        self.note(Quirk.ABSENT, name, parent)
        there.text = value or None

    def _appendixes(self, other: etree._Element) -> None:
        """Put an Appendix that stands by itself where it belongs; beside a list it says the same again."""
        loose = list(other.iterchildren(q("Appendix")))
        if not loose:
            return
        within = child(other, "Appendixes")
        if within is None:
            within = _add(other, "Appendixes")
            within.extend(one for one in loose if collapse(one.text))
        for one in loose:
            if one.getparent() is other:
                other.remove(one)

    def _make_document_id(self, header: etree._Element) -> None:
        """Name a document as the samples of the standard do, where it does not name itself."""
        pieces = (
            _text(header, "From", "OrganId"),
            _day(_text(header, "PromulgationInfo", "PromulgationDate")),
            _text(header, "Code", "CodeNumber"),
            _text(header, "Code", "CodeNotation"),
        )
        if not all(pieces):
            return
        organ_id, day, number, notation = pieces
        there = child(header, "DocumentId")
        there = _add(header, "DocumentId") if there is None else there
        there.text = f"{organ_id},{day},{number}/{notation}"
        self.note(Quirk.DOCUMENT_ID, there.text, header)

    def _type(self, kind: etree._Element | None) -> None:
        """Let the name of a kind decide its group: numbers mean different things in different systems."""
        if kind is None:
            return
        if len(kind) == 0:
            name = collapse(kind.text)
            kind.text = None
            _add(kind, "Type").text = kind.get("Type")
            if kind.get("TypeDetail"):
                _add(kind, "TypeDetail").text = kind.get("TypeDetail")
            _add(kind, "TypeName").text = name or None
        name, said = _text(kind, "TypeName"), (_number(kind, "Type"), _number(kind, "TypeDetail"))
        is_legal, is_administrative = codes.is_legal_norm(name), codes.kind_named(name) is not None
        if not is_legal and not is_administrative:
            return  # The rules say so.
        group, detail = said
        if group is not None and group > 2 and detail is None:
            detail = group
        if not is_legal or (is_administrative and group not in (1, 2)):
            group = 2
        elif not is_administrative:
            group = 1
        meant = (group, detail or None)
        if meant == said:
            return
        self.note(Quirk.TYPE, name, kind)
        for field_name, value in zip(("Type", "TypeDetail"), meant, strict=True):
            there = child(kind, field_name)
            if value is None:
                if there is not None:
                    kind.remove(there)
            else:
                there = _add(kind, field_name) if there is None else there
                there.text = str(value)

    def _traces(self, traces: etree._Element) -> None:
        if child(traces, "Bussiness") is None:
            order = _add(traces, "Bussiness")
            _add(order, "BussinessDocType").text = "0"
            self.note(Quirk.ABSENT, "Bussiness", traces)
        for trace in list(traces.iterchildren(q("TraceHeader"))):
            organ_id = _text(trace, "OrganId") or _text(trace, "Path", "From")
            at = _moment(_text(trace, "Timestamp") or _text(trace, "Time"))
            if ORGAN_ID.fullmatch(organ_id) is None or _parsed(at) is None:
                self.note(Quirk.TRACE, organ_id[:40] or "—", trace)
                traces.remove(trace)
                continue
            trace[:] = []
            trace.text = None
            _add(trace, "OrganId").text = organ_id
            _add(trace, "Timestamp").text = at

    # --- files ------------------------------------------------------------------------------

    def _files(self, manifest: etree._Element, files: Sequence[Carried], carried: dict[int, Carried]) -> list[Carried]:
        """Bring the manifest into today's form; return what belongs to each Reference."""
        within = [carried[id(one)] for one in manifest if id(one) in carried]
        for number, one in enumerate(within, 1):
            self._make_reference(manifest, one, number)
        references = list(manifest.iterchildren(q("Reference")))
        if len(references) > limits.MAX_ATTACHMENTS:
            self.complain(
                "ATT.COUNT", f"{len(references)} > {limits.MAX_ATTACHMENTS}", manifest, rule="attachment:count"
            )
            return []
        rest = list(files)
        linked = []
        for number, reference in enumerate(references, 1):
            self._reference(reference, number)
            content_id, name = _text(reference, "ContentId"), _text(reference, "AttachmentName")
            said = content_id.removeprefix("cid:")
            names = (said, unquote(said))  # A URL of a part may have its characters in percent (RFC 2392).
            found = next((one for at in names for one in rest if _content_id(one.element) == at), None)
            if found is None:
                found = next((one for one in rest if name and _file_name(one.element) == name), None)
                if found is not None:
                    self.note(Quirk.LINK, name, reference)
            if found is None:
                self.complain("ATT.MISSING", name, reference, rule="attachment:inline")
                continue
            rest.remove(found)
            linked.append(found)
        for one in rest:
            name = _file_name(one.element) or _content_id(one.element)
            self.complain("ATT.UNLISTED", name, one.element, rule="attachment:listed")
        return linked

    def _make_reference(self, manifest: etree._Element, one: Carried, number: int) -> None:
        """List a file that stands within the manifest itself."""
        holder = one.element
        reference = _add(manifest, "Reference")
        put_on_line(reference, _line(holder))
        content_id = _content_id(holder) or f"a{number}"
        if not _content_id(holder):
            _add(holder, "ContentId").text = content_id
        _add(reference, "ContentId").text = f"cid:{content_id}"
        _add(reference, "ContentType").text = _text(holder, "ContentType") or None
        if _text(holder, "Description"):
            _add(reference, "Description").text = _text(holder, "Description")
        _add(reference, "AttachmentName").text = _file_name(holder) or None
        manifest.remove(holder)

    def _reference(self, reference: etree._Element, number: int) -> None:
        content_id = child(reference, "ContentId")
        if content_id is None or not collapse(content_id.text):
            content_id = _add(reference, "ContentId") if content_id is None else content_id
            href = reference.get(f"{{{XLINK}}}href") or reference.get("href") or ""
            content_id.text = collapse(href) or f"cid:a{number}"
        said, name = _text(reference, "ContentType"), _text(reference, "AttachmentName")
        meant = media_type_of(name, said)
        if meant != said:
            if said not in ("", ZIP):
                self.note(Quirk.MEDIA_TYPE, f"{name}: {said}", reference)
            kind = child(reference, "ContentType")
            kind = _add(reference, "ContentType") if kind is None else kind
            kind.text = meant
        for attribute in list(reference.attrib):
            del reference.attrib[attribute]
        reference.set(f"{{{PROFILE}}}sha256", _NOTHING)
        reference.set(f"{{{PROFILE}}}bytes", "0")


# --- small readers --------------------------------------------------------------------------


def _assembled(kind: Kind, header: etree._Element, traces: etree._Element, manifest: etree._Element) -> Received:
    """Put the parts into today's frame."""
    root = etree.Element(q("edXML"), nsmap={None: EDXML})
    envelope = etree.SubElement(root, q("edXMLEnvelope"))
    head = etree.SubElement(envelope, q("edXMLHeader"))
    head.append(header)
    if kind is Kind.DOCUMENT:
        head.append(traces)
        etree.SubElement(envelope, q("edXMLBody")).append(manifest)
    about = header if kind is Kind.DOCUMENT else child(header, "ResponseFor")
    return Received(
        sealed=b"",
        digest="",
        kind=kind,
        originator=_text(header, "From", "OrganId"),
        document_id="" if about is None else _text(about, "DocumentId"),
        tree=root,
    )


def _unresolved(message: Document) -> tuple[AttachmentRef, ...]:
    return tuple(replace(ref, sha256="", size_bytes=0) for ref in message.attachments)


def _in_order(element: etree._Element) -> list[etree._Element]:
    """Return the children of an element as today's schema has them; what it does not know comes last."""
    order = _ORDER.get(_local(element), ())
    places = {q(name): number for number, name in enumerate(order)}
    return sorted(element, key=lambda one: places.get(str(one.tag), len(places)))


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname


def _line(element: etree._Element) -> int | None:
    return int(element.sourceline) if element.sourceline is not None else None


def _add(parent: etree._Element, name: str) -> etree._Element:
    """Add an element on its parent's line: that is where a person must look."""
    added = etree.SubElement(parent, q(name))
    put_on_line(added, _line(parent))
    return added


def _drop_blank(element: etree._Element) -> None:
    """Take out children that say nothing."""
    element[:] = [one for one in element if collapse(one.text) or len(one)]


def _text(element: etree._Element, *path: str) -> str:
    found = child(element, *path)
    return "" if found is None else collapse(found.text)


def _number(element: etree._Element, name: str) -> int | None:
    text = _text(element, name)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _content_id(holder: etree._Element) -> str:
    return _text(holder, "ContentId").removeprefix("cid:")


def _file_name(holder: etree._Element) -> str:
    return _text(holder, "AttachmentName") or _text(holder, "name")


def _day(text: str) -> str:
    """Return a day as edXML writes it, whether it exists or not; what has another form stays as it is."""
    found = _DAY_FIRST.fullmatch(text)
    if found is not None:
        return f"{found[3]}/{found[2]:0>2}/{found[1]:0>2}"
    found = _ISO_DAY.fullmatch(text)
    if found is not None:
        return "/".join(found.groups())
    return _moment(text).partition(" ")[0] if "T" in text else text


def _moment(text: str) -> str:
    """The same for a time; one without a zone is Vietnamese."""
    found = _DAY_FIRST.fullmatch(text)
    if found is not None and found[4]:
        return f"{found[3]}/{found[2]:0>2}/{found[1]:0>2} {found[4]}"
    if "T" not in text:
        return text
    try:
        at = datetime.fromisoformat(text)
        return format_timestamp(at if at.tzinfo is not None else at.replace(tzinfo=VIETNAM))
    except (ValueError, OverflowError):
        return text


def _parsed(text: str) -> datetime | None:
    try:
        return parse_timestamp(text)
    except ValueError:
        return None


_WRITTEN_ANEW: dict[str, Callable[[str], str]] = {"PromulgationDate": _day, "DueDate": _day, "Timestamp": _moment}
