"""The offices of a trial: one that sends without end, and those that write down what they are given.

What an office does with a document is one line in a file, on the disk before
the handler returns: the trial counts these lines. The register behind it knows
an envelope that it has seen, as docs/adapters.md asks of it.
"""

import os
import sys
from datetime import date
from pathlib import Path

from axis import Document, Draft, File, Notice, Office, Organization, Registered, TransientError
from tests.fault.journal import lines, note

_AT_ONCE = 10

FOLDER = Path(os.environ["TRIAL_FOLDER"])
office = Office.from_env()


@office.on_document
async def receive(doc: Document) -> Registered:
    """Register a document once, however often it comes."""
    for attachment in doc.attachments:
        await attachment.read()
    known = lines(FOLDER / "register")
    note(FOLDER / "calls", doc.envelope_id)
    if doc.envelope_id not in known:
        note(FOLDER / "register", doc.envelope_id)
        known.append(doc.envelope_id)
    return Registered(str(known.index(doc.envelope_id) + 1))


@office.on_receipt
async def hear(notice: Notice) -> None:
    """Write down who said what about which document."""
    note(FOLDER / "receipts", f"{notice.level}\t{notice.document_id}\t{notice.addressee or ''}")


def send(count: int, addressees: tuple[str, ...]) -> None:
    """Let the office send so many letters, a few each time it is asked; after a crash it goes on from what it has noted."""

    @office.beside
    async def some() -> None:
        done = len(lines(FOLDER / "sent"))
        for number in range(done, min(done + _AT_ONCE, count)):
            draft = letter(office.settings.code, addressees, number)
            try:
                await office.send(draft, [File("125.pdf", f"%PDF-1.7 {number}".encode() * 500)])
            except TransientError:
                return
            note(FOLDER / "sent", draft.document_id)
            if os.environ.get("TRIAL_HOSTILE") and number % 4 == 0:
                await office.submit(hostile(number))
                note(FOLDER / "hostile", str(number))


def hostile(number: int) -> bytes:
    """Return something that no axis may accept, another one for each number."""
    text = ascii(number)
    kinds = (
        f"<!DOCTYPE x [<!ENTITY a '{text}'>]><x>&a;</x>",
        f"<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'>{text}</Signature>",
        f"<x xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:Signature/>{'<y>' * 60}{text}",
        f"http://www.w3.org/2000/09/xmldsig# {text} \x00",
    )
    return kinds[number // 4 % len(kinds)].encode()


def letter(originator: str, addressees: tuple[str, ...], number: int) -> Draft:
    """Return a letter that is the same each time it is made: sent twice, it is the same document."""
    return Draft(
        originator=Organization(originator),
        addressees=tuple(map(Organization, addressees)),
        document_id=f"{originator},2026/08/25,{number}/TN",
        code_number=str(number),
        code_notation="TN",
        place="Thanh Hóa",
        promulgated_on=date(2026, 8, 25),
        subject=f"V/v thử nghiệm số {number} (ví dụ)",
        signer_name="Nguyễn Văn A (ví dụ)",
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        send(int(sys.argv[1]), tuple(sys.argv[2].split(",")))
    office.run()
