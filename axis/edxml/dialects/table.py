"""Table: the dialects that document systems of the field speak, as data.

A dialect says how a message is written. What is tolerated when one is read is
the same in all of them (`quirks`), but for the namespace and the frame: those
are the dialect's own or today's.

Spec: docs/protocol/dialects.md. No public text of the older forms is complete:
each row says where its shape was seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from axis.edxml.values import EDXML

E_DOC = "http://www.e-doc.vn/Schema/"
GO_VN = "http://www.go.vn/eDoc"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
XLINK = "http://www.w3.org/1999/xlink"


class Frame(StrEnum):
    """What stands around header and manifest."""

    EDXML = "edxml"  # edXML, edXMLEnvelope, edXMLHeader, edXMLBody; files behind the envelope.
    SOAP = "soap"  # Envelope, Header, Body of SOAP 1.1; files behind the body, or beside the message.
    BARE = "bare"  # EdXMLEnvelope alone; files within the manifest.


class Package(StrEnum):
    """How the files of a message travel with it."""

    XML = "xml"  # Within it, in base64.
    MIME = "mime"  # As parts beside it (SOAP with Attachments); without files the message is alone.


class Packing(StrEnum):
    """How a file is put into a message."""

    ZIP = "zip"  # A zip with one entry, in base64.
    PLAIN = "plain"  # The file, in base64.


class Clock(StrEnum):
    """How days and times are written."""

    EDXML = "yyyy/MM/dd"  # Times `yyyy/MM/dd HH:mm:ss`, Vietnamese.
    DAY_FIRST = "dd/MM/yyyy"  # Times `dd/MM/yyyy HH:mm:ss`, Vietnamese.
    ISO = "yyyy-MM-dd"  # Times `yyyy-MM-ddTHH:mm:ss+07:00`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way to write a message."""

    name: str
    seen: str  # Where, for people.
    namespace: str = EDXML
    frame: Frame = Frame.EDXML
    prefixed: bool = True  # `edXML:` on every element below the root; else the default namespace alone.
    clock: Clock = Clock.EDXML
    package: Package = Package.XML
    packing: Packing = Packing.ZIP
    flat_type: bool = False  # DocumentType/Type is the number of the kind, not the group.
    is_complete: bool = False  # Its readers want every element, empty or not, and an ErrorList.
    status_in_body: bool = False  # A status is `Status` in the body of SOAP, not the header.
    signature: str = ""  # Name of the empty signature that its readers want to see.
    # Children that stand in another order than the national SDK's, by parent; the rest follows as it is.
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blanks: tuple[str, ...] = ()  # What is written where there is nothing to write.


_ORGAN = ("OrganId", "OrganName", "OrganizationInCharge")
_HAND_MADE = {
    "TraceHeaderList": ("TraceHeader", "Bussiness"),
    "From": _ORGAN,
    "To": _ORGAN,
    "StaffInfo": ("Department", "Staff", "Mobile", "Email"),
    "ResponseFor": ("OrganId", "Code", "DocumentId", "PromulgationDate"),
}

DIALECTS: Mapping[str, Dialect] = {
    one.name: one
    for one in (
        Dialect(name="sdk", seen="the SDK of the national axis, 2019 to 2025"),
        Dialect(name="sample", seen="the hand-made samples of QCVN 102:2016 that integrators copy", order=_HAND_MADE),
        Dialect(
            name="dotnet",
            seen="systems that serialise by themselves, with a default namespace and flat document types",
            prefixed=False,
            packing=Packing.PLAIN,
            flat_type=True,
        ),
        Dialect(
            name="edoc",
            seen="provincial axes of the years before 2016 and the systems behind them",
            namespace=E_DOC,
            clock=Clock.DAY_FIRST,
            packing=Packing.PLAIN,
            is_complete=True,
            signature="DigitalSignature",
            order=_HAND_MADE,
        ),
        Dialect(
            name="soap",
            seen="the SOAP form of the same years",
            namespace=E_DOC,
            frame=Frame.SOAP,
            clock=Clock.DAY_FIRST,
            packing=Packing.PLAIN,
            order=_HAND_MADE,
        ),
        Dialect(
            name="swa",
            seen="SOAP with Attachments, as provincial axes on Axis2 and Synapse and their clients speak it",
            namespace=E_DOC,
            frame=Frame.SOAP,
            clock=Clock.DAY_FIRST,
            package=Package.MIME,
            packing=Packing.PLAIN,
            status_in_body=True,
            order=_HAND_MADE,
        ),
        Dialect(
            name="go",
            seen="the connection guide of a provincial axis, version 2.2",
            namespace=GO_VN,
            frame=Frame.BARE,
            prefixed=False,
            clock=Clock.ISO,
            packing=Packing.PLAIN,
            blanks=("N/A",),
        ),
    )
}
DEFAULT = DIALECTS["sdk"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What is taken from an office that speaks a dialect."""

    dialect: Dialect
    takes_unsigned: bool = False  # What carries no seal of the profile is taken, and counts as unverified.
