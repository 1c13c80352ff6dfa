"""Older: what an office with an older system is in the roll, and what such a system writes."""

from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

from axis.edxml import AttachmentRef, Document, Organization
from axis.edxml.dialects import DIALECTS, render
from axis.registry import Registry, Unsigned
from tests.house import COMMUNE, SENDER, House

PDF = b"%PDF-1.7 " + bytes(range(256)) * 50


def change(home: House, office: str, **fields: Any) -> None:
    """Change an office in the roll."""
    changed = replace(home.roll.by_code[office], **fields)
    home.roll = Registry.of({**home.roll.by_code, office: changed}.values(), home.roll.tiers.values())
    roll, trust = home.roll, home.province.trust()
    object.__setattr__(home.intake, "roll", lambda: (roll, trust))


def speaks(home: House, office: str, dialect: str, unsigned: Unsigned) -> None:
    """Let an office speak a dialect."""
    change(home, office, dialect=dialect, unsigned=unsigned)


def document(**fields: Any) -> Document:
    """Return a good document; `fields` replace what they name."""
    good: dict[str, Any] = {
        "originator": Organization(SENDER, "Sở mẫu (ví dụ)"),
        "addressees": (Organization(COMMUNE),),
        "document_id": f"{SENDER},2026/08/25,7/SKHCN",
        "code_number": "7",
        "code_notation": "SKHCN",
        "place": "Thanh Hóa",
        "promulgated_on": date(2026, 8, 25),
        "subject": "V/v rà soát (ví dụ)",
        "signer_position": "Giám đốc",
        "signer_name": "Nguyễn Văn A",
        "traces": ((SENDER, datetime(2026, 8, 25, 2, 30, 5, tzinfo=UTC)),),
    }
    return Document(**{**good, **fields})


def written(dialect: str = "edoc", content: bytes = PDF, name: str = "7.pdf", **fields: Any) -> bytes:
    """Return a document with a file as an older system writes it."""
    ref = AttachmentRef("a1", name, "application/pdf", sha256(content).hexdigest(), len(content))
    return b"".join(render(DIALECTS[dialect], document(attachments=(ref,), **fields), [[content]]))
