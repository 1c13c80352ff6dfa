"""Invitation: a giấy mời as data that a calendar can take.

Spec: schemas/invitation-1.xsd; docs/protocol/contents.md 5; Decree 30/2020/NĐ-CP App. III (giấy mời).
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Guest:
    """ChuTri, NguoiDuocMoi: a person, an office, or a person of an office."""

    name: str = ""
    position: str = ""
    organ_id: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """GiayMoi: who is invited to what, when and where."""

    code: str  # MaGiayMoi: DocumentId of the document that brought it first; the same for every change.
    inviter: str  # OrganId
    title: str
    starts_at: datetime
    chair: Guest
    guests: tuple[Guest, ...]
    revision: int = 0  # LanSua: counted on by every change.
    ends_at: datetime | None = None
    place: str = ""
    link: str = ""  # Of a meeting online; https.
    agenda: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()  # Names of files that travel with the document.
    contact: str = ""
