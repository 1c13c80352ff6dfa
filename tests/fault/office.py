"""The offices of a trial: one that sends without end, and those that write down what they are given.

What an office does with a document is one line in a file, its register, on the
disk before the handler returns: the trial counts these lines, and `axis audit`
is given them as the effects of the office. There is a line for every call that
takes a document, so that one which ought not to be made is seen; but an envelope
that comes again gets the number that it had, as docs/adapters.md asks. Some
documents are poison to it, if the trial says so, until a file says that it was
mended.
"""

import asyncio
import os
import resource
import sys
from datetime import date
from pathlib import Path
from uuid import uuid4

from axis import (
    Agreed,
    Declined,
    Document,
    Draft,
    File,
    Notice,
    Office,
    Order,
    Organization,
    Registered,
    TransientError,
    clock,
)
from tests.fault.journal import lines, note
from tests.fault.reckoning import Call

_AT_ONCE = int(os.environ.get("TRIAL_RATE", "10"))  # Documents in each second.
_SLOWLY = 3  # The same, while the trial wants it to last.
_WORK_S = float(os.environ.get("TRIAL_WORK_S", "0"))  # That the office's system needs for a document.
# Whether every third document has a file above 1 MiB, which comes in pieces, so that the small one beside it does not go along.
_LARGE = bool(os.environ.get("TRIAL_LARGE"))
_PAGES = int(os.environ.get("TRIAL_PAGES", "500"))
POISON_EVERY = 40
POISON = {5: "crash", 15: "hang", 25: "eat"}  # What a document does whose number, of each so many, is this.
_MORE_BYTES = 512 * 1024 * 1024  # That a poisonous document may eat, beyond what the process has.

FOLDER = Path(os.environ.get("TRIAL_FOLDER", ""))
_RUN = uuid4().hex[:12]  # This process, among all that are this office one after the other.


async def receive(doc: Document) -> Registered:
    """Register a document."""
    began = clock.now()
    if os.environ.get("TRIAL_POISON") and not (FOLDER / "mended").exists():
        await choke(int(doc.message.code_number))
    for attachment in doc.attachments:
        await attachment.read()
    await asyncio.sleep(_WORK_S)
    known = [Call.read(line).envelope_id for line in lines(FOLDER / "register")]
    number = known.index(doc.envelope_id) if doc.envelope_id in known else len(known)
    note(FOLDER / "register", str(Call(doc.envelope_id, doc.digest, doc.document_id, _RUN, began)))
    return Registered(str(number + 1))  # Nothing may fail once the line is there: it would be asked again, rightly.


async def decide(order: Order) -> Agreed | Declined:
    """Obey every other order; which one does not depend on what was said before."""
    note(FOLDER / "register", str(Call(order.envelope_id, order.digest, order.document_id, _RUN, clock.now())))
    number = int(order.target.document_id.rpartition(",")[2].partition("/")[0])
    return Agreed() if number // 2 % 2 else Declined("Đã thi hành (ví dụ)")


async def choke(number: int) -> None:
    """Do what a document system that was never tested with such a document does."""
    match POISON.get(number % POISON_EVERY):
        case "crash":
            os._exit(66)
        case "hang":
            await asyncio.Event().wait()
        case "eat":
            hoard = [bytearray(16 * 1024 * 1024) for _ in range(10_000)]
            raise AssertionError(f"{len(hoard)} pieces were not too much")


async def hear(notice: Notice) -> None:
    """Write down who said what about which document."""
    said = (notice.level, notice.document_id, notice.addressee or "", notice.signed.receipt.status_code or "")
    note(FOLDER / "receipts", "\t".join(said))


def send(office: Office, count: int, addressees: tuple[str, ...]) -> None:
    """Let an office send so many letters, a few each time it is asked; after a crash it goes on from what it has noted."""

    @office.beside
    async def some() -> None:
        done = len(lines(FOLDER / "sent"))
        if (FOLDER / "pause").exists():
            return
        some = _SLOWLY if (FOLDER / "slowly").exists() else _AT_ONCE
        for number in range(done, min(done + some, count)):
            draft = letter(office.settings.code, addressees, number)
            try:
                await office.send(draft, files(number))
            except TransientError:
                return
            note(FOLDER / "sent", draft.document_id)


def files(number: int) -> list[File]:
    """Return the files of a letter."""
    page = f"%PDF-1.7 {number}".encode()
    large = [File("scan.pdf", page * 100_000)] if _LARGE and number % 3 == 0 else []
    return [File("125.pdf", page * _PAGES), *large]


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


def limit_memory() -> None:
    """Let the system refuse us more memory than we need, as it does in a container."""
    size_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size_bytes + _MORE_BYTES, size_bytes + _MORE_BYTES))


def main() -> None:
    """Be an office: the one that sends, if it is said how much and to whom."""
    office = Office.from_env()
    office.on_document(receive)
    office.on_order(decide)
    office.on_receipt(hear)
    if len(sys.argv) > 2:
        send(office, int(sys.argv[1]), tuple(sys.argv[2].split(",")))
    if os.environ.get("TRIAL_POISON"):
        limit_memory()
    office.run()


if __name__ == "__main__":
    main()
