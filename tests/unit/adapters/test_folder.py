"""The folder adapter on the test axis: what a clerk sees, and what a crash leaves."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from adapters import folder
from adapters.folder import incoming, outgoing
from adapters.folder.places import Places, Settling, free_name, move, safe_name, write_facts
from adapters.folder.turns import Reach, Turns
from adapters.folder.written import words_in
from axis import (
    Agreed,
    BusinessType,
    Level,
    Office,
    OfficeSettings,
    PermanentError,
    Refused,
    clock,
    edxml,
    name_problem,
    read_content,
    render_content,
)
from axis.edxml.values import local_date
from axis.office.testing import OFFICE, SENDER, Delivery, TestAxis
from tests.contents import DOSSIER, INVITATION, TASK

_SOON_S = 60.0  # A disk that others keep busy takes seconds for each sync.


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as events:
        yield events


def _office(root: Path, **adapter: object) -> tuple[Office, dict[str, Any]]:
    """Return an office and the settings that TestAxis gives it."""
    options = {"kind": "folder", "folder": str(root), "settle_s": 0.1, **adapter}
    known = OfficeSettings(
        code=OFFICE, key=root, certificate=root, trust=root, broker_url="amqp://x/", gateway_url="http://x/",
        state=root / "state", adapter=options,
    )  # fmt: skip
    office = Office(lambda: known)
    folder.attach(office)
    return office, {"adapter": options}


async def _until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(_SOON_S):
        while not (value := found()):  # noqa: ASYNC110 - a folder cannot be awaited.
            await asyncio.sleep(0.02)
    return value


def _one(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob("*")) if not path.name.startswith(".")), None)


@pytest.fixture
async def by_adapter(tmp_path: Path) -> AsyncIterator[TestAxis]:
    office, settings = _office(tmp_path, register_by="adapter")
    async with TestAxis(office, **settings) as axis:
        yield axis


@pytest.fixture
async def by_clerk(tmp_path: Path) -> AsyncIterator[TestAxis]:
    office, settings = _office(tmp_path)
    async with TestAxis(office, **settings) as axis:
        yield axis


async def test_document_arrives_as_a_folder_and_gets_the_next_number(by_adapter: TestAxis, tmp_path: Path) -> None:
    first = await by_adapter.deliver(by_adapter.document(subject="Một (ví dụ)"), {"công văn.pdf": b"%PDF-1"})
    second = await by_adapter.deliver(by_adapter.document(subject="=HYPERLINK(1)"), {})
    year = first.last.at.year
    assert [first.last.number, second.last.number] == [f"1/{year}", f"2/{year}"]
    folders = sorted((tmp_path / "inbox").iterdir())
    assert len(folders) == 2
    arrived = next(one for one in folders if (one / "công văn.pdf").exists())
    assert (arrived / "công văn.pdf").read_bytes() == b"%PDF-1"
    assert (arrived / "document.edxml").read_bytes() == first.sealed
    facts = json.loads((arrived / "document.json").read_text())
    assert (facts["envelope_id"], facts["originator"]) == (first.envelope_id, SENDER)
    register = (tmp_path / "register.csv").read_text()
    assert "Một (ví dụ)" in register
    assert ",'=HYPERLINK(1)," in register  # A spreadsheet does not run it.


async def test_document_of_an_older_system_is_marked_wherever_a_clerk_sees_it(
    by_adapter: TestAxis, tmp_path: Path
) -> None:
    await by_adapter.deliver(by_adapter.seal_as_notary(by_adapter.document()))
    await by_adapter.deliver(by_adapter.document())
    said = {}
    for arrived in (tmp_path / "inbox").iterdir():
        facts = json.loads((arrived / "document.json").read_text())
        said[facts["verified"]] = "CHƯA XÁC THỰC" in (arrived / "van-ban.txt").read_text()
    assert said == {False: True, True: False}
    rows = (tmp_path / "register.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows] == ["verified", "no", "yes"]


async def test_document_that_comes_again_keeps_its_folder_and_its_number(by_adapter: TestAxis, tmp_path: Path) -> None:
    delivery = await by_adapter.deliver(by_adapter.document())
    again = await by_adapter.again(delivery)
    assert again.last.number == delivery.last.number
    assert len(list((tmp_path / "inbox").iterdir())) == 1


async def test_files_with_our_own_names_do_not_replace_ours(by_adapter: TestAxis, tmp_path: Path) -> None:
    await by_adapter.deliver(by_adapter.document(), {"document.json": b"{}", "register.txt": b"999"})
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    assert (arrived / "document (2).json").read_bytes() == b"{}"
    assert (arrived / "register (2).txt").read_bytes() == b"999"


async def test_invitation_comes_with_a_file_for_the_calendar(by_adapter: TestAxis, tmp_path: Path) -> None:
    document = by_adapter.document()
    invitation = replace(INVITATION, code=document.document_id, inviter=SENDER, documents=())
    await by_adapter.deliver(document, {"giay-moi.ics": b"theirs"}, [invitation])
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    assert read_content((arrived / "giay-moi.xml").read_bytes()) == invitation
    assert (arrived / "giay-moi.ics").read_bytes() == b"theirs"
    assert b"METHOD:REQUEST" in (arrived / "giay-moi (2).ics").read_bytes()
    page = (arrived / "van-ban.txt").read_text()
    assert "Thời gian: 08:00 ngày 01/09/2026 đến 11:00 ngày 01/09/2026" in page
    assert "Tệp: giay-moi (2).ics" in page


async def test_recall_of_an_invitation_takes_it_out_of_the_calendar(by_clerk: TestAxis, tmp_path: Path) -> None:
    await by_clerk.deliver(document := by_clerk.document(), {}, [INVITATION])
    await by_clerk.deliver(by_clerk.order(document))
    order = next(one for one in (tmp_path / "inbox").iterdir() if one.name.startswith("THU HỒI"))
    (order / "agree.txt").write_text("đồng ý")
    withdrawn = await _until(lambda: _one(tmp_path / "withdrawn"))
    invited, gone = ((withdrawn / name).read_bytes() for name in ("giay-moi.ics", "huy-giay-moi.ics"))
    assert (b"METHOD:REQUEST" in invited, b"METHOD:CANCEL" in gone) == (True, True)
    uid = next(line for line in invited.splitlines() if line.startswith(b"UID:"))
    assert uid in gone.splitlines()


async def test_change_of_an_invitation_moves_it_in_the_calendar(by_clerk: TestAxis, tmp_path: Path) -> None:
    await by_clerk.deliver(document := by_clerk.document(), {}, [INVITATION])
    update = by_clerk.order(document, BusinessType.UPDATE)
    await by_clerk.deliver(update, {}, [replace(INVITATION, revision=1)])
    order = next(one for one in (tmp_path / "inbox").iterdir() if one.name.startswith("CẬP NHẬT"))
    assert b"SEQUENCE:1" in (order / "giay-moi.ics").read_bytes()
    assert "Mời: Họp triển khai" in (order / "van-ban.txt").read_text()


async def test_page_says_what_a_dossier_and_a_task_are_about(by_adapter: TestAxis, tmp_path: Path) -> None:
    await by_adapter.deliver(by_adapter.document(), {}, [DOSSIER, TASK])
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    page = (arrived / "van-ban.txt").read_text()
    assert "Hồ sơ H56.05-20260810-0000123: Đang xử lý\nHẹn trả: 17:00 ngày 28/08/2026\n" in page
    assert "Nhiệm vụ NV-2026-0042: Rà soát mã định danh của các đơn vị trực thuộc\nHạn xử lý: 05/09/2026\n" in page
    assert not (arrived / "giay-moi.ics").exists()


async def test_content_that_cannot_be_read_is_a_file_like_any_other(by_adapter: TestAxis, tmp_path: Path) -> None:
    sealed = by_adapter.seal(by_adapter.document(), {}, [replace(INVITATION, title="")])  # No axis would take it.
    await by_adapter.deliver(sealed)
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    assert (arrived / "giay-moi.xml").exists()
    assert not (arrived / "giay-moi.ics").exists()


async def test_content_in_drop_is_sent_as_what_it_is(by_clerk: TestAxis, tmp_path: Path) -> None:
    building = tmp_path / "building"
    building.mkdir()
    today = local_date(clock.now())
    code = f"{OFFICE},{today:%Y/%m/%d},7/GM-UBND"
    invitation = replace(
        INVITATION, code=code, inviter=OFFICE, documents=(), starts_at=clock.now().replace(microsecond=0), ends_at=None
    )
    (building / "giay-moi.xml").write_bytes(render_content(invitation))
    (building / "letter.toml").write_text(
        f'to = ["{SENDER}"]\nnumber = 7\nnotation = "GM-UBND"\nsubject = "Họp"\nsigner = "A"\nkind = "Giấy mời"'
    )
    (tmp_path / "drop").mkdir(exist_ok=True)
    building.rename(tmp_path / "drop" / "7")
    sent = await by_clerk.next_sent()
    assert isinstance(sent.message, edxml.Document)
    assert [ref.content_type for ref in sent.message.attachments] == ["application/vnd.axis.invitation+xml;version=1"]


async def test_clerk_registers_with_a_file(by_clerk: TestAxis, tmp_path: Path) -> None:
    delivery = await by_clerk.deliver(by_clerk.document())
    assert delivery.last.level is Level.DELIVERED
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    (arrived / "register.txt").write_text("417\n")
    await _until((arrived / "answer.txt").exists)
    assert [one.level for one in by_clerk.later(delivery).receipts] == [Level.DELIVERED, Level.REGISTERED]
    assert by_clerk.later(delivery).last.number == "417"


async def test_clerk_refuses_with_a_reason(by_clerk: TestAxis, tmp_path: Path) -> None:
    delivery = await by_clerk.deliver(by_clerk.document())
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    (arrived / "refuse.txt").write_text("gửi nhầm\nnơi nhận")
    await _until((arrived / "answer.txt").exists)
    last = by_clerk.later(delivery).last
    assert (last.level, last.reason) == (Level.REFUSED, "gửi nhầm nơi nhận")


async def test_empty_answer_is_no_answer_yet(by_clerk: TestAxis, tmp_path: Path) -> None:
    delivery = await by_clerk.deliver(by_clerk.document())
    arrived = _one(tmp_path / "inbox")
    assert arrived is not None
    (arrived / "register.txt").write_text("")
    await asyncio.sleep(0.5)
    assert not (arrived / "answer.txt").exists()
    assert by_clerk.later(delivery).last.level is Level.DELIVERED


_UNREADABLE = [
    "từ chối".encode("cp1258", "replace") + b"\xec",  # As Windows calls it: ANSI.
    "417".encode("utf-16-le"),  # Without its mark, which only looks like a text.
    "417".encode("utf-32"),
    b"\xff\xfe4",
]


@pytest.mark.parametrize("content", _UNREADABLE, ids=str)
def test_what_cannot_be_read_is_not_guessed_at(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"decode|control"):
        words_in(content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_words_are_read_as_an_editor_saves_them(encoding: str) -> None:
    assert words_in("gửi nhầm\r\nnơi nhận\r\n".encode(encoding)) == "gửi nhầm nơi nhận"


async def test_answer_that_cannot_be_read_is_told_to_the_clerk_and_read_when_it_is_mended(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    delivery = await by_clerk.deliver(by_clerk.document(), {"khong-doc-duoc-refuse.txt": b"theirs"})
    arrived = _inbox(tmp_path, "20")
    assert (arrived / "khong-doc-duoc-refuse (2).txt").read_bytes() == b"theirs"
    (arrived / "refuse.txt").write_bytes("từ chối".encode("cp1258", "replace") + b"\xec")
    note = arrived / "khong-doc-duoc-refuse.txt"
    await _until(note.exists)
    assert "UTF-8" in note.read_text()
    assert by_clerk.later(delivery).last.level is Level.DELIVERED
    (arrived / "refuse.txt").write_bytes("từ chối".encode("utf-16"))
    await _until((arrived / "answer.txt").exists)
    assert by_clerk.later(delivery).last.reason == "từ chối"
    assert not note.exists()


_LETTER = f"""
to = ["{SENDER}"]
number = 15
notation = "UBND-VP"
subject = "Báo cáo tháng (ví dụ)"
priority = "khẩn"
signer = "Nguyễn Văn A"
"""


def _drop(root: Path, name: str, files: dict[str, str]) -> None:
    """Drop a folder as a careful writer does: under another name first."""
    building = root / "drop" / f".{name}"
    building.mkdir(parents=True)
    for file, text in files.items():
        (building / file).write_text(text)
    building.rename(root / "drop" / name)


async def test_letter_with_a_file_is_sent_and_its_receipts_come_beside_it(by_clerk: TestAxis, tmp_path: Path) -> None:
    _drop(tmp_path, "bao-cao", {"letter.toml": _LETTER, "bao-cao.pdf": "%PDF-1.7"})
    sent = await by_clerk.next_sent()
    assert sent.message is not None
    kept = tmp_path / "sent" / "bao-cao"
    await _until(lambda: list((kept / "receipts").glob("* accepted *.xml")))
    await by_clerk.answer(sent, Refused("không thuộc thẩm quyền"))
    await _until(lambda: list((kept / "receipts").glob("* refused *.xml")))
    assert "không thuộc thẩm quyền" in (kept / "receipts.txt").read_text()
    assert not list((tmp_path / "drop").iterdir())
    assert not list((tmp_path / "sending").iterdir())


async def test_envelope_that_the_axis_rejects_is_in_rejected_with_every_reason(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    draft = by_clerk.seal(by_clerk.document(subject="V/v một"))  # The other office's, with its seal, then changed.
    (tmp_path / "drop").mkdir(exist_ok=True)
    (tmp_path / "drop" / "hong.edxml").write_bytes(draft.replace("V/v một".encode(), b"V/v hai"))
    await by_clerk.next_sent()
    why = await _until((tmp_path / "rejected" / "hong" / "why.txt").exists)
    assert why
    await _until(lambda: list((tmp_path / "rejected" / "hong" / "receipts").glob("*.xml")))
    assert "SIG.DIGEST" in (tmp_path / "rejected" / "hong" / "why.txt").read_text()


async def test_letter_with_a_file_that_the_gateway_will_never_take_is_in_rejected_with_the_reason(
    by_clerk: TestAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> None:
        raise PermanentError("ATT.SIZE", "2 > 1 bytes")

    monkeypatch.setattr(by_clerk.gateway, "upload", refuses)
    _drop(tmp_path, "qua-lon", {"letter.toml": _LETTER, "qua-lon.pdf": "%PDF-1.7" * 50_000})
    why = tmp_path / "rejected" / "qua-lon" / "why.txt"
    await _until(why.exists)
    assert "ATT.SIZE: Tệp đính kèm quá lớn: 2 > 1 bytes" in why.read_text()


async def test_answer_that_comes_while_its_folder_is_being_noted_finds_it(
    by_clerk: TestAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk: the axis has said no before the folder is marked as handed over."""

    def slowly(path: Path, facts: dict[str, Any]) -> None:
        time.sleep(0.5)
        write_facts(path, facts)

    monkeypatch.setattr(outgoing, "write_facts", slowly)
    draft = by_clerk.seal(by_clerk.document(subject="V/v một"))
    (tmp_path / "drop").mkdir(exist_ok=True)
    (tmp_path / "drop" / "hong.edxml").write_bytes(draft.replace("V/v một".encode(), b"V/v hai"))
    await by_clerk.next_sent()
    await _until(lambda: list(tmp_path.glob("*/*/receipts/*.xml")))
    (receipt,) = tmp_path.glob("*/*/receipts/*.xml")
    assert receipt.is_relative_to(tmp_path / "rejected" / "hong")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"bao-cao.pdf": "%PDF"}, "letter.toml"),
        ({"a.edxml": "<a/>", "b.edxml": "<b/>"}, "letter.toml"),
        ({"letter.toml": "to = ["}, "letter.toml"),
        ({"letter.toml": 'to = ["H56.VP"]\nnumber = 1\nnotation = "A"\n'}, "subject"),
        ({"letter.toml": _LETTER, "virus.exe": "MZ"}, "ATT.NAME"),
    ],
)
async def test_drop_that_is_no_document_is_rejected_with_the_reason(
    by_clerk: TestAxis, tmp_path: Path, files: dict[str, str], says: str
) -> None:
    _drop(tmp_path, "sai", files)
    rejected = tmp_path / "rejected" / "sai"
    await _until(lambda: (rejected / "why.txt").exists() and says in (rejected / "why.txt").read_text())
    assert {path.name for path in rejected.iterdir()} >= set(files)


async def test_half_written_file_is_never_taken(by_clerk: TestAxis, tmp_path: Path) -> None:
    """However long a writer pauses: the kernel knows that it has the file open."""
    sealed = by_clerk.seal(by_clerk.document())
    drop = tmp_path / "drop"
    drop.mkdir(exist_ok=True)
    with (drop / "cham.edxml").open("wb") as slow:
        slow.write(sealed[:500])
        slow.flush()
        await asyncio.sleep(2.5)  # Far longer than settle_s.
        assert (drop / "cham.edxml").exists()
        assert not by_clerk.sent
        slow.write(sealed[500:])
    sent = await by_clerk.next_sent()
    assert sent.sealed == sealed


@pytest.mark.parametrize("name", [".hidden.edxml", "a.edxml.part", "b.tmp", "c.edxml~", "~$d.edxml", "e.crdownload"])
def test_names_of_half_written_things_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    settling = Settling(0.0)
    settling.settled(tmp_path)
    assert settling.settled(tmp_path) == []


def test_folder_with_something_half_written_inside_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.toml").write_text("x")
    (tmp_path / "a" / "big.pdf.part").write_text("x")
    settling = Settling(0.0)
    settling.settled(tmp_path)
    assert settling.settled(tmp_path) == []
    (tmp_path / "a" / "big.pdf.part").rename(tmp_path / "a" / "big.pdf")
    settling.settled(tmp_path)
    assert settling.settled(tmp_path) == [tmp_path / "a"]


def test_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("khóa riêng")
    drop = tmp_path / "drop"
    (drop / "a").mkdir(parents=True)
    (drop / "link.edxml").symlink_to(secret)
    (drop / "a" / "letter.toml").write_text("x")
    (drop / "a" / "link.pdf").symlink_to(secret)
    settling = Settling(0.0)
    settling.settled(drop)
    assert settling.settled(drop) == []


async def test_crash_between_taking_and_sending_sends_once_more(tmp_path: Path) -> None:
    """What lies in sending/ without a submission is handed over when the office opens."""
    places = Places.below(tmp_path)
    places.make()
    left = places.sending / "do-dang"
    left.mkdir()
    (left / "letter.toml").write_text(_LETTER)
    office, settings = _office(tmp_path)
    async with TestAxis(office, **settings) as axis:
        await axis.next_sent()
        await _until((places.sent / "do-dang").exists)
        assert len(axis.sent) == 1


async def test_what_never_came_whole_is_removed_after_some_days(tmp_path: Path) -> None:
    places = Places.below(tmp_path)
    places.make()
    old, coming, theirs, removed = (
        places.inbox / name for name in (f".{'0' * 32}", f".{'1' * 32}", ".Trash-1000", f".gone-{'2' * 32}")
    )
    for half in (old, coming, theirs, removed):
        half.mkdir()
        (half / "1.pdf").write_bytes(b"%PDF")
    long_ago = time.time() - 8 * 86400
    for path in (old / "1.pdf", old, coming, theirs / "1.pdf", theirs):  # The file of `coming` is still growing.
        os.utime(path, (long_ago, long_ago))
    office, settings = _office(tmp_path)
    async with TestAxis(office, **settings):
        await _until(lambda: not old.exists() and not removed.exists())
        assert sorted(places.inbox.iterdir()) == sorted((coming, theirs))


# --- one thing that cannot be worked on holds up no other -------------------------------------------


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "._1.pdf", "desktop.ini"])
async def test_file_of_an_explorer_in_what_is_dropped_is_not_sent(
    by_clerk: TestAxis, tmp_path: Path, name: str
) -> None:
    await _until((tmp_path / "drop").exists)
    (tmp_path / "drop" / name).write_bytes(b"x")
    _drop(tmp_path, "z", {"letter.toml": _LETTER, "1.pdf": "%PDF-1.7 1", name: "x"})
    sent = await by_clerk.next_sent()
    assert isinstance(sent.message, edxml.Document)
    assert [one.name for one in sent.message.attachments] == ["1.pdf"]
    assert [path.name for path in (tmp_path / "drop").iterdir()] == [name]


def test_share_that_is_away_is_looked_for_each_time_and_told_of_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    at, looks = [0.0], [0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])

    def make() -> None:
        looks[0] += 1
        if at[0] < 100.0:
            raise OSError("máy chủ tệp tắt (ví dụ)")

    reach, told = Reach(make), []
    while at[0] < 100.0:
        try:
            assert not reach.holds()
        except OSError:
            told.append(at[0])
        at[0] += 1.0
    assert told == [0.0, 2.0, 6.0, 14.0, 30.0, 62.0]
    assert reach.holds()
    assert looks[0] == 101


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "desktop.ini"])
async def test_file_of_an_explorer_in_sending_is_left_alone(by_clerk: TestAxis, tmp_path: Path, name: str) -> None:
    await _until((tmp_path / "sending").exists)
    (tmp_path / "sending" / name).write_bytes(b"x")
    _drop(tmp_path, "z", {"letter.toml": _LETTER})
    sent = await by_clerk.next_sent()
    await by_clerk.answer(sent, Refused("không thuộc thẩm quyền"))
    await _until(lambda: list((tmp_path / "sent" / "z" / "receipts").glob("* refused *.xml")))
    assert [path.name for path in (tmp_path / "sending").iterdir()] == [name]


async def test_folder_in_sending_that_cannot_be_read_holds_up_no_other(
    by_clerk: TestAxis, tmp_path: Path, logged: list[MutableMapping[str, Any]]
) -> None:
    places = Places.below(tmp_path)
    places.make()
    (places.sending / "a").mkdir()
    (places.sending / "a" / ".submission.json").write_text("[]")
    _drop(tmp_path, "z", {"letter.toml": _LETTER})
    await by_clerk.next_sent()
    await _until(lambda: list((places.sent / "z" / "receipts").glob("* accepted *.xml")))
    told = await _until(lambda: [one for one in logged if one["event"] == "service.failed"])
    (failure,) = told[0]["exc_info"].exceptions
    assert failure.__notes__ == [f"{places.sending / 'a'}"]


async def test_file_that_cannot_be_moved_holds_up_no_other_and_is_taken_when_it_can(
    by_clerk: TestAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share where files of others may be read and not renamed."""
    held = asyncio.Event()

    def hold(source: Path, target: Path) -> Path:
        if source.name == "a.edxml":
            held.set()
            raise PermissionError(1, "Operation not permitted", str(source))
        return move(source, target)

    drop, sending = tmp_path / "drop", tmp_path / "sending"
    drop.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(outgoing, "move", hold)
        (drop / "a.edxml").write_bytes(by_clerk.seal(by_clerk.document()))
        await _until(held.is_set)
        _drop(tmp_path, "z", {"letter.toml": _LETTER})
        await by_clerk.next_sent()
        assert not [path for path in sending.iterdir() if path.name.startswith("a")]
        assert (drop / "a.edxml").exists()
    await by_clerk.next_sent(2)
    await _until(lambda: not list(sending.iterdir()))


async def test_crash_while_a_file_is_taken_leaves_what_is_taken_up(tmp_path: Path) -> None:
    places = Places.below(tmp_path)
    places.make()
    (places.sending / ".taking-a").mkdir()
    office, settings = _office(tmp_path)
    async with TestAxis(office, **settings) as axis:
        (places.sending / ".b").mkdir()
        (places.sending / ".b" / "b.edxml").write_bytes(axis.seal(axis.document()))
        (places.sending / ".b").rename(places.sending / ".taking-b")
        await axis.next_sent()
        await _until(lambda: not list(places.sending.iterdir()))
        assert len(axis.sent) == 1
        assert not list(places.rejected.iterdir())


async def test_folder_in_inbox_that_cannot_be_read_holds_up_no_answer(by_clerk: TestAxis, tmp_path: Path) -> None:
    broken = tmp_path / "inbox" / "1"
    broken.mkdir(parents=True)
    (broken / "document.json").write_text("{")
    (broken / "register.txt").write_text("416")
    delivery = await by_clerk.deliver(by_clerk.document())
    arrived = _inbox(tmp_path, "20")
    (arrived / "register.txt").write_text("417")
    await _until((arrived / "answer.txt").exists)
    assert by_clerk.later(delivery).last.number == "417"


async def test_what_failed_has_its_next_turn_later_and_is_told_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked: list[str] = []

    async def work(path: Path) -> None:
        worked.append(path.name)
        if path.name == "a":
            raise OSError("held")

    turns = Turns()
    monkeypatch.setattr("adapters.folder.turns._FIRST_S", 3600.0)
    with pytest.raises(ExceptionGroup, match="tried again") as told:
        await turns.each([tmp_path / "a", tmp_path / "b"], work)
    assert [str(one) for one in told.value.exceptions] == ["held"]
    await turns.each([tmp_path / "a", tmp_path / "b"], work)
    assert worked == ["a", "b", "b"]
    await turns.each([tmp_path / "b"], work)  # It went away; what comes under its name is another thing.
    with pytest.raises(ExceptionGroup):
        await turns.each([tmp_path / "a"], work)


def test_wrong_options_are_told(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"adapter\.register_by"):
        _office(tmp_path, register_by="cat")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("125/SKHCN-CĐS", "125-SKHCN-CĐS"),
        ("../../etc/passwd", "--.-etc-passwd"),
        (" .an", "-an"),
        ("phụ lục. ", "phụ lục"),
        ("...", "khong-ten"),
        ("a" * 200, "a" * 80),
    ],
)
def test_names_are_safe(text: str, name: str) -> None:
    assert safe_name(text) == name


@pytest.mark.parametrize(
    "name",
    [
        "A" * 76 + ".exe.pdf",
        "hoa-don.exe-",
        "hoa-don.js)-",
        "hoa-don.exe·",
        "hoa-don.exe–",
        "hoa-don.exe%",
        "-CON.pdf",
        "%nul",
        ".CON.pdf",
        "a." + "b" * 100,
    ],
)
def test_harmless_name_stays_harmless_on_the_disk(name: str) -> None:
    assert name_problem(name) == ""
    assert name_problem(safe_name(name)) == ""


def test_two_keys_are_two_places(tmp_path: Path) -> None:
    places = Places.below(tmp_path)
    places.make()
    for name in ("12-SK-CĐS", "12-SK-CÔS"):
        (places.sent / name).mkdir()
        write_facts(places.sent / name / ".submission.json", {"document_id": name})
        places.remember("document", name, places.sent / name)
    found = [places.find("document", name) for name in ("12-SK-CĐS", "12-SK-CÔS")]
    assert found == [places.sent / "12-SK-CĐS", places.sent / "12-SK-CÔS"]


# --- a name is no identity: clerks archive folders, and names are given again ----------------------


@pytest.mark.parametrize(
    "facts", [b"", b"{}", b'{"envelope_id": "2"}', b'{"envelope_id": null}', b'{"envelope_id": ["1'], ids=str
)
def test_folder_that_does_not_say_that_it_is_the_one_is_not(tmp_path: Path, facts: bytes) -> None:
    places = Places.below(tmp_path)
    places.make()
    (places.inbox / "a").mkdir()
    places.remember("inbox", "1", places.inbox / "a")
    assert places.find("inbox", "1") is None
    (places.inbox / "a" / "document.json").write_bytes(facts)
    assert places.find("inbox", "1") is None
    write_facts(places.inbox / "a" / "document.json", {"envelope_id": "1"})
    assert places.find("inbox", "1") == places.inbox / "a"


async def test_recall_of_an_archived_document_leaves_its_successor_in_the_name_alone(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    first = await by_clerk.deliver(sent := by_clerk.document())
    folder = _inbox(tmp_path, "20")
    folder.rename(tmp_path / "archive")
    second = await by_clerk.deliver(by_clerk.document(code_number=sent.code_number, subject="Bản đính chính (ví dụ)"))
    assert _inbox(tmp_path, "20") == folder
    order = await by_clerk.deliver(by_clerk.order(sent, reason="gửi nhầm nơi nhận"))
    assert not (folder / "cho-quyet-dinh.txt").exists()
    (_inbox(tmp_path, "THU HỒI") / "agree.txt").write_text("đồng ý")
    (folder / "register.txt").write_text("417")
    await _until((folder / "answer.txt").exists)
    await _until((_inbox(tmp_path, "THU HỒI") / "answer.txt").exists)
    assert not list((tmp_path / "withdrawn").iterdir())
    assert _levels(by_clerk.later(first))[-1] == ("recalled", "15")
    assert _levels(by_clerk.later(second))[-1] == ("registered", "03")
    assert _levels(by_clerk.later(order))[-1] == ("progress", "15")


async def test_late_receipt_of_an_archived_document_is_not_put_beside_another(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    kept = tmp_path / "sent" / "bao-cao"
    for number in (1, 2):
        _drop(tmp_path, "bao-cao", {"letter.toml": _LETTER.replace("= 15", f"= {14 + number}")})
        await by_clerk.next_sent(number)
        await _until(lambda: list((kept / "receipts").glob("* accepted *.xml")))
        if number == 1:
            kept.rename(tmp_path / "archive")
    first, second = by_clerk.sent
    assert first.message is not None
    await by_clerk.answer(first, Refused("không thuộc thẩm quyền"))
    await _until(lambda: list((tmp_path / "receipts").glob("*/receipts/* refused *.xml")))
    await by_clerk.answer(second, Refused("sai nơi nhận"))
    await _until(lambda: list((kept / "receipts").glob("* refused *.xml")))
    assert "không thuộc thẩm quyền" not in (kept / "receipts.txt").read_text()


async def test_crash_before_the_move_takes_no_folder_that_has_the_name_since(
    by_clerk: TestAxis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is remembered under a name, and has not been given it: whoever comes between has it."""
    with monkeypatch.context() as patch:

        def die(source: Path, target: Path) -> Path:
            patch.setattr(incoming, "move", move)
            raise OSError(f"killed before {source} became {target}")

        patch.setattr(incoming, "move", die)
        cut = await by_clerk.deliver(sent := by_clerk.document(subject="Một (ví dụ)"))
    assert cut.last.level is not Level.DELIVERED
    await by_clerk.deliver(by_clerk.document(code_number=sent.code_number, subject="Hai (ví dụ)"))
    again = await by_clerk.again(cut)
    assert again.last.level is Level.DELIVERED
    pages = [(path / "van-ban.txt").read_text() for path in (tmp_path / "inbox").glob("2*")]
    assert sorted("Một (ví dụ)" in page for page in pages) == [False, True]


def test_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a (2)").mkdir()
    assert free_name(tmp_path, "a") == tmp_path / "a (3)"
    assert os.listdir(tmp_path)


# --- orders -------------------------------------------------------------------------------


def _inbox(root: Path, word: str) -> Path:
    """Return the folder in inbox/ whose name begins with a word."""
    (found,) = [path for path in (root / "inbox").iterdir() if path.name.startswith(word)]
    return found


def _levels(delivery: Delivery) -> list[tuple[str, str | None]]:
    return [(one.level.value, one.status_code) for one in delivery.receipts]


async def test_recall_is_a_folder_that_a_clerk_answers_and_its_document_moves_away(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    document = await by_clerk.deliver(sent := by_clerk.document(), {"1.pdf": b"%PDF"})
    folder = _inbox(tmp_path, "20")
    order = await by_clerk.deliver(by_clerk.order(sent, reason="gửi nhầm nơi nhận"))
    asked = _inbox(tmp_path, "THU HỒI")
    assert "gửi nhầm nơi nhận" in (asked / "van-ban.txt").read_text()
    assert sent.code in (folder / "cho-quyet-dinh.txt").read_text()
    (folder / "register.txt").write_text("417")  # While it is frozen, this says nothing.
    (asked / "agree.txt").write_text("đồng ý")
    await _until((asked / "answer.txt").exists)
    assert _levels(by_clerk.later(order)) == [("delivered", "01"), ("progress", "15")]
    assert _levels(by_clerk.later(document)) == [("delivered", "01"), ("recalled", "15")]
    withdrawn = tmp_path / "withdrawn" / folder.name
    assert not folder.exists()
    assert {"1.pdf", "da-thu-hoi.txt"} <= {path.name for path in withdrawn.iterdir()}
    assert not (withdrawn / "cho-quyet-dinh.txt").exists()


async def test_declined_recall_lets_the_clerk_go_on(by_clerk: TestAxis, tmp_path: Path) -> None:
    document = await by_clerk.deliver(sent := by_clerk.document())
    folder = _inbox(tmp_path, "20")
    order = await by_clerk.deliver(by_clerk.order(sent))
    (folder / "register.txt").write_text("417")
    (_inbox(tmp_path, "THU HỒI") / "decline.txt").write_text("đã\nxử lý")
    await _until((folder / "answer.txt").exists)
    assert by_clerk.later(order).last.reason == "đã xử lý"
    assert _levels(by_clerk.later(document)) == [("delivered", "01"), ("registered", "03")]


async def test_update_brings_its_document_and_its_number(by_clerk: TestAxis, tmp_path: Path) -> None:
    document = await by_clerk.deliver(sent := by_clerk.document())
    new = by_clerk.order(sent, BusinessType.UPDATE, subject="Bản mới (ví dụ)")
    order = await by_clerk.deliver(new, {"moi.pdf": b"%PDF new"})
    asked = _inbox(tmp_path, "CẬP NHẬT")
    assert (asked / "moi.pdf").read_bytes() == b"%PDF new"
    assert "Bản mới (ví dụ)" in (asked / "van-ban.txt").read_text()
    (asked / "agree.txt").write_text("9a")
    await _until((asked / "answer.txt").exists)
    assert [one.number for one in by_clerk.later(order).receipts] == [None, None, "9a"]
    assert by_clerk.later(document).last.level is Level.RECALLED


async def test_adapter_that_counts_gives_an_update_the_next_number(by_adapter: TestAxis, tmp_path: Path) -> None:
    first = await by_adapter.deliver(sent := by_adapter.document())
    order = await by_adapter.deliver(by_adapter.order(sent, BusinessType.REPLACE, subject="Bản mới (ví dụ)"))
    asked = _inbox(tmp_path, "THAY THẾ")
    (asked / "agree.txt").write_text("đồng ý")
    await _until((asked / "answer.txt").exists)
    assert by_adapter.later(order).last.number == f"2/{first.last.at.year}"
    assert "Bản mới (ví dụ)" in (tmp_path / "register.csv").read_text()


async def test_update_that_is_recalled_itself_frees_the_folder_of_the_old_document(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    document = await by_clerk.deliver(sent := by_clerk.document())
    folder = _inbox(tmp_path, "20")
    await by_clerk.deliver(new := by_clerk.order(sent, BusinessType.UPDATE))
    await by_clerk.deliver(by_clerk.order(new))
    (folder / "register.txt").write_text("417")
    (_inbox(tmp_path, "THU HỒI") / "agree.txt").write_text("đồng ý")
    await _until((folder / "answer.txt").exists)
    assert by_clerk.later(document).last.number == "417"


async def test_crash_between_the_answer_and_the_move_moves_when_the_office_opens(
    by_clerk: TestAxis, tmp_path: Path
) -> None:
    await by_clerk.deliver(sent := by_clerk.document())
    folder = _inbox(tmp_path, "20")
    order = await by_clerk.deliver(by_clerk.order(sent))
    await by_clerk._office.report(order.envelope_id, Agreed("đồng ý"))  # As the process before us did, and no more.
    (_inbox(tmp_path, "THU HỒI") / "agree.txt").write_text("đồng ý")
    await _until((tmp_path / "withdrawn" / folder.name).exists)
    assert _levels(by_clerk.later(order)) == [("delivered", "01"), ("progress", "15")]


async def test_clerk_recalls_what_was_sent_with_a_file(by_clerk: TestAxis, tmp_path: Path) -> None:
    _drop(tmp_path, "bao-cao", {"letter.toml": _LETTER, "bao-cao.pdf": "%PDF-1.7"})
    sent = await by_clerk.next_sent()
    folder = tmp_path / "sent" / "bao-cao"
    await _until(lambda: list((folder / "receipts").glob("* accepted *.xml")))
    (folder / "recall.txt").write_bytes(b"sai s\xf4 li\xeau")
    await _until((folder / "khong-doc-duoc-recall.txt").exists)
    (folder / "recall.txt").write_text("sai số liệu")
    order = await by_clerk.next_sent(2)
    assert isinstance(order.message, edxml.Document)
    assert sent.message is not None
    assert (order.message.business.reason, order.message.business.document_id) == (
        "sai số liệu",
        sent.answer.receipt.document_id,
    )
    await by_clerk.answer(order, Agreed("đã thu hồi"))
    await _until(lambda: "đã thu hồi" in (folder / "receipts.txt").read_text())
    assert (folder / "recalled.txt").exists()
    assert len(by_clerk.sent) == 2
