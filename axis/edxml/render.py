"""Rendering: a message becomes XML, as the national SDK would write it.

Prefix `edXML` on every element, the SDK's order, the Ids and digests of the
axis profile. The result carries no seal yet.

Spec: QCVN 102:2016; schemas/document-1.xsd; docs/protocol/envelope.md.
"""

from lxml import etree

from axis.edxml.model import Business, Document, Message, Notary, Organization, ResponseFor, Staff, Status
from axis.edxml.values import EDXML, PROFILE, RELEASE, format_date, format_moment, format_timestamp, q
from axis.errors import refuse


def render(message: Message, notary: Notary | None = None) -> bytes:
    """Return a message as unsealed edXML, UTF-8; see `build`."""
    return write(build(message, notary))


def build(message: Message, notary: Notary | None = None) -> etree._Element:
    """Return a message as the tree that `write` writes.

    Args:
        message: What it says.
        notary: Who will seal it, where that is not its originator.

    Raises:
        Refusal: ENV.NOT_WELL_FORMED; a text holds a character that XML has no way to write.
    """
    root = etree.Element(q("edXML"), nsmap={None: EDXML})
    envelope = etree.SubElement(root, q("edXMLEnvelope"), nsmap={"edXML": EDXML, "axp": PROFILE})
    header = etree.SubElement(envelope, q("edXMLHeader"))
    head = etree.SubElement(header, q("MessageHeader"), Id="header")
    if notary is not None:
        head.set(f"{{{PROFILE}}}notary", notary.organ_id)
        head.set(f"{{{PROFILE}}}original", notary.original)
    if isinstance(message, Status):
        _status(head, message)
    else:
        _document_header(head, message)
        _traces(etree.SubElement(header, q("TraceHeaderList")), message)
        _manifest(etree.SubElement(envelope, q("edXMLBody")), message)
    return root


def write(root: etree._Element) -> bytes:
    """Serialise with the default namespace on the root alone and `edXML` below, which the national axis demands.

    libxml2 writes an element of a namespace with two declarations in scope by the nearest one, the prefix.
    """
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _document_header(header: etree._Element, document: Document) -> None:
    _organization(header, "From", document.originator)
    for to in document.addressees:
        _organization(header, "To", to)
    _text(header, "DocumentId", document.document_id)
    code = _branch(header, "Code")
    _text(code, "CodeNumber", document.code_number)
    _text(code, "CodeNotation", document.code_notation)
    promulgation = _branch(header, "PromulgationInfo")
    _text(promulgation, "Place", document.place)
    _text(promulgation, "PromulgationDate", format_date(document.promulgated_on))
    kind = _branch(header, "DocumentType")
    _text(kind, "Type", str(document.type_group))
    if document.type_detail is not None:
        _text(kind, "TypeDetail", str(document.type_detail))
    _text(kind, "TypeName", document.type_name)
    _text(header, "Subject", document.subject)
    _text(header, "Content", document.content)
    signer = _branch(header, "SignerInfo")
    _text(signer, "Competence", document.signer_competence)
    _text(signer, "Position", document.signer_position)
    _text(signer, "FullName", document.signer_name)
    if document.due_on is not None:
        _text(header, "DueDate", format_date(document.due_on))
    _other(_branch(header, "OtherInfo"), document)
    for answered in document.responses:
        _response(header, answered)
    _text(header, "SteeringType", str(document.steering))
    if document.tasks:
        tasks = _branch(header, "ResponseForTask")
        for task in document.tasks:
            _text(tasks, "TaskCode", task)
    places = _branch(header, "ToPlaces")
    for place in document.to_places:
        _text(places, "Place", place)


def _other(other: etree._Element, document: Document) -> None:
    if document.release_at is not None:
        other.set(RELEASE, format_moment(document.release_at))
    _text(other, "Priority", str(int(document.priority)))
    _text(other, "SphereOfPromulgation", document.sphere)
    _text(other, "TyperNotation", document.typer)
    if document.copies is not None:
        _text(other, "PromulgationAmount", str(document.copies))
    if document.pages is not None:
        _text(other, "PageAmount", str(document.pages))
    if document.direction is not None:
        _text(other, "Direction", "true" if document.direction else "false")
    appendixes = _branch(other, "Appendixes")
    for appendix in document.appendixes:
        _text(appendixes, "Appendix", appendix)


def _traces(traces: etree._Element, document: Document) -> None:
    _business(etree.SubElement(traces, q("Bussiness"), Id="business"), document.business)
    for organ_id, at in document.traces:
        trace = _branch(traces, "TraceHeader")
        _text(trace, "OrganId", organ_id)
        _text(trace, "Timestamp", format_timestamp(at))


def _business(element: etree._Element, order: Business) -> None:
    if order.document_id:
        _text(element, "DocumentId", order.document_id)
    _text(element, "BussinessDocType", str(int(order.type)))
    _text(element, "BussinessDocReason", order.reason)
    _text(element, "Paper", "1" if order.paper else "0")
    if order.update is not None:
        details = _branch(element, "BussinessDocumentInfo")
        _text(details, "DocumentInfo", "1" if order.update.content_changed else "0")
        _text(details, "DocumentReceiver", "1" if order.update.receivers_changed else "0")
        receivers = _branch(details, "ReceiverList")
        for organ_id, receiver_type in order.update.receivers:
            receiver = _branch(receivers, "Receiver")
            _text(receiver, "OrganId", organ_id)
            _text(receiver, "ReceiverType", str(receiver_type))
    if order.replacements:
        replaced = _branch(element, "ReplacementInfoList")
        for replacement in order.replacements:
            one = _branch(replaced, "ReplacementInfo")
            _text(one, "DocumentId", replacement.document_id)
            organs = _branch(one, "OrganIdList")
            for organ_id in replacement.organ_ids:
                _text(organs, "OrganId", organ_id)
    if order.staff is not None:
        _staff(element, order.staff)


def _manifest(body: etree._Element, document: Document) -> None:
    manifest = etree.SubElement(body, q("edXMLManifest"), version="1.0", Id="manifest")
    for ref in document.attachments:
        reference = _branch(manifest, "Reference")
        reference.set(f"{{{PROFILE}}}sha256", ref.sha256)
        reference.set(f"{{{PROFILE}}}bytes", str(ref.size_bytes))
        _text(reference, "ContentId", f"cid:{ref.content_id}")
        _text(reference, "ContentType", ref.content_type)
        _text(reference, "Description", ref.description)
        _text(reference, "AttachmentName", ref.name)


def _status(header: etree._Element, status: Status) -> None:
    _organization(header, "From", status.originator)
    _response(header, status.response_for)
    if status.staff is not None:
        _staff(header, status.staff)
    _text(header, "StatusCode", status.status_code)
    _text(header, "Description", status.description)
    _text(header, "Timestamp", format_timestamp(status.at))


def _organization(parent: etree._Element, name: str, organ: Organization) -> None:
    element = _branch(parent, name)
    for child, value in (
        ("OrganId", organ.organ_id),
        ("OrganizationInCharge", organ.in_charge),
        ("OrganName", organ.name),
        ("OrganAdd", organ.address),
        ("Email", organ.email),
        ("Telephone", organ.telephone),
        ("Fax", organ.fax),
        ("Website", organ.website),
    ):
        _text(element, child, value)


def _staff(parent: etree._Element, staff: Staff) -> None:
    element = _branch(parent, "StaffInfo")
    _text(element, "Department", staff.department)
    _text(element, "Staff", staff.staff)
    _text(element, "Email", staff.email)
    _text(element, "Mobile", staff.mobile)


def _response(parent: etree._Element, answered: ResponseFor) -> None:
    element = _branch(parent, "ResponseFor")
    _text(element, "OrganId", answered.organ_id)
    _text(element, "Code", answered.code)
    if answered.promulgated_on is not None:
        _text(element, "PromulgationDate", format_date(answered.promulgated_on))
    _text(element, "DocumentId", answered.document_id)


def _branch(parent: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(parent, q(name))


def _text(parent: etree._Element, name: str, value: str) -> None:
    try:
        etree.SubElement(parent, q(name)).text = value or None
    except ValueError as error:  # Word processors leave vertical tabs in what is copied out of them.
        raise refuse(
            "ENV.NOT_WELL_FORMED",
            f"{name} holds a control character",
            detail_vi=f"{name} có ký tự điều khiển",
            path=f"//edXML:{name}",
            rule="xml:char",
        ) from error
