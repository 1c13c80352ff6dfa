"""Day: what happens in the demonstration. Each act sends one document and says what ought to become of it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axis import seal
from axis.edxml import Priority
from axis.edxml.inline import inline
from tests.demo.document_system import CHOKES, REFUSES
from tests.demo.papers import Desk, Paper
from tests.demo.province import Province
from tests.demo.watch import Watch

VP, DEPARTMENT, DISTRICT, HAM_RONG, MAU = "H56.VP", "H56.05", "H56.NR", "H56.112", "H56.113"
ABSENT, CLOSED, UNKNOWN = "H56.199", "H56.900", "H56.888"
LARGE_BYTES = 300 * 1024 * 1024
_AT_ONCE = 2  # Commands at the same time: the machine may be small.


@dataclass(frozen=True, slots=True)
class Handed:
    """A document that was handed in, and what ought to become of it."""

    title: str
    originator: str
    document_id: str
    fates: dict[str, str]  # State by addressee, as written; {} for a document that the axis rejects.
    codes: tuple[str, ...] = ()  # Of the rejection.


@dataclass(slots=True)
class Day:
    """Plays the acts."""

    province: Province
    desk: Desk
    watch: Watch
    large_bytes: int = LARGE_BYTES
    handed: list[Handed] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)  # What did not come as expected.
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def play(self) -> None:
        """Play every act; those that need time to pass begin first."""
        await self.province.laboratory.kill(f"system {DEPARTMENT}")
        self.watch.say(f"✂ hệ thống của {DEPARTMENT} ngừng / its system is killed", "magenta")
        acts: list[Callable[[], Awaitable[None]]] = [
            self.system_down, self.express_to_an_absent_office, self.dead_letter, self.large_file, self.to_all,
            self.broken_seal, self.five_faults, self.unknown_office, self.closed_office, self.forbidden,
            self.refused_by_a_system, self.refused_by_a_clerk, self.twice, self.other_content, self.not_the_sender,
            self.dropped_letter, self.dropped_program, self.letter_over_http, self.message_over_http,
            *(lambda number=number: self.ordinary(number) for number in range(6)),
        ]  # fmt: skip
        await asyncio.gather(*(act() for act in acts))

    # --- ways of sending ---------------------------------------------------------------

    async def _send(
        self, title: str, paper: Paper, fates: dict[str, str], *, message: bytes | None = None,
        codes: tuple[str, ...] = (), by: str = "",
    ) -> None:  # fmt: skip
        """Send by hand, with `axis send`."""
        path = self._write(paper, message or paper.rendered)
        arguments = ["send", str(path), "--as", by or paper.document.originator.organ_id, "--json"]
        for file in paper.files:
            arguments += ["--attach", str(file)]
        self._hand(title, paper, fates, codes)
        async with self._turns:
            self.watch.say(f"» {title}")
            exit_code, said = await self.province.command(*arguments)
        if exit_code not in (0, 1):
            self.surprises.append(f"{title}: axis send: {said.strip()}")
            return
        answer = json.loads(said)
        told = tuple(one["code"] for one in answer["violations"])
        if answer["accepted"] is bool(codes) or (codes and told != codes):
            self.surprises.append(f"{title}: expected {codes or 'acceptance'}, got {told or 'acceptance'}")

    def _hand(self, title: str, paper: Paper, fates: dict[str, str], codes: tuple[str, ...] = ()) -> None:
        document = paper.document
        self.handed.append(Handed(title, document.originator.organ_id, document.document_id, fates, codes))

    def _write(self, paper: Paper, message: bytes) -> Path:
        path = paper.files[0].with_suffix(".edxml")
        while path.exists():
            path = path.with_name(f"{path.stem}+.edxml")
        path.write_bytes(message)
        return path

    def _sealed(self, paper: Paper) -> bytes:
        return seal.seal(paper.rendered, self._key(paper.document.originator.organ_id))

    def _key(self, code: str) -> seal.SigningKey:
        place = self.province.place(code)
        return seal.SigningKey.load(place / "keys" / f"{code}.key.pem", place / "certs" / f"{code}.pem")

    def _drop(self, office: str, paper: Paper, files: Sequence[tuple[str, bytes]]) -> None:
        """Drop a letter into an office's folder, as a careful clerk does: under another name first."""
        document = paper.document
        letter = (
            f"to = {json.dumps([to.organ_id for to in document.addressees])}\n"
            f'number = "{document.code_number}"\nnotation = "{document.code_notation}"\n'
            f'subject = "{document.subject}"\nsigner = "{document.signer_name}"\ndate = {document.promulgated_on}\n'
        )
        drop = self.province.place(office) / "offices" / office / "drop"
        building = drop / f".{paper.files[0].stem}"
        building.mkdir(parents=True)
        (building / "letter.toml").write_text(letter)
        for name, content in files:
            (building / name).write_bytes(content)
        building.rename(drop / paper.files[0].stem)

    def _paper(self, sender: str, to: Sequence[str], subject: str, **more: object) -> Paper:
        return self.desk.paper(sender, to, subject, **more)  # type: ignore[arg-type]

    # --- acts ------------------------------------------------------------------------------

    async def to_all(self) -> None:
        """To every office."""
        others = (DEPARTMENT, DISTRICT, HAM_RONG, MAU)
        paper = self._paper(VP, others, "Chỉ đạo rà soát mã định danh", pages=3)
        await self._send("gửi mọi đơn vị / to all offices", paper, dict.fromkeys(others, "delivered"))

    async def large_file(self) -> None:
        """With a large file."""
        size = f"{self.large_bytes // 1024**2} MiB"
        paper = await asyncio.to_thread(
            self._paper, VP, [HAM_RONG], "Hồ sơ bản đồ quy hoạch", more_bytes=self.large_bytes
        )
        title = f"tệp {size} / a file of {size}"
        await self._send(title, paper, {HAM_RONG: "delivered"})

    async def broken_seal(self) -> None:
        """Changed after it was sealed."""
        paper = self._paper(VP, [DEPARTMENT], "Kinh phí 100 triệu đồng")
        broken = self._sealed(paper).replace("100 triệu".encode(), "900 triệu".encode())
        await self._send("niêm phong hỏng / a broken seal", paper, {}, message=broken, codes=("SIG.DIGEST",))

    async def five_faults(self) -> None:
        """Wrong in five places; every one of them is told."""
        paper = self._paper(DEPARTMENT, [HAM_RONG], "Báo cáo sai mẫu")
        message = paper.rendered.decode()
        for pattern, wrong in (
            (r"(<edXML:To><edXML:OrganId>)[^<]*", r"\1mã sai"),
            (r"(<edXML:CodeNumber>)[^<]*", r"\1"),
            (r"(<edXML:PromulgationDate>)[^<]*", r"\g<1>25/08/2026"),
            (r"(<edXML:FullName>)[^<]*", r"\1"),
            (r"(<edXML:Priority>)[^<]*", r"\g<1>9"),
        ):
            message, count = re.subn(pattern, wrong, message)
            assert count == 1, pattern
        title = "sai lược đồ năm chỗ / five faults against the schema"
        await self._send(title, paper, {}, message=message.encode(), codes=("ENV.SCHEMA",) * 5)

    async def unknown_office(self) -> None:
        """To nobody in the roll."""
        paper = self._paper(VP, [UNKNOWN], "Gửi đơn vị không có thật")
        title = "đơn vị không có trong danh sách / an unknown office"
        await self._send(title, paper, {}, codes=("MSG.UNKNOWN_ADDRESSEE",))

    async def closed_office(self) -> None:
        """To a closed office and to one that is open: the second is served."""
        paper = self._paper(VP, [CLOSED, HAM_RONG], "Bàn giao hồ sơ sau sắp xếp")
        title = "một nơi nhận đã giải thể / one addressee is closed"
        await self._send(title, paper, {CLOSED: "refused", HAM_RONG: "delivered"})

    async def forbidden(self) -> None:
        """To one office that the rules allow and one that they do not."""
        paper = self._paper(MAU, [DISTRICT, VP], "Đề nghị hướng dẫn")
        title = "quy tắc không cho phép / a rule forbids one addressee"
        await self._send(title, paper, {DISTRICT: "refused", VP: "delivered"})

    async def system_down(self) -> None:
        """While the department's system is down for some seconds."""
        paper = self._paper(VP, [DEPARTMENT], "Gửi khi hệ thống ngừng")
        await self._send("hệ thống nơi nhận ngừng / the system is down", paper, {DEPARTMENT: "delivered"})
        await self.watch.until(paper.document.document_id, "deferred")
        await asyncio.sleep(3)
        await self.province.start_system(DEPARTMENT)
        self.watch.say(f"✂ hệ thống của {DEPARTMENT} chạy lại / its system is up again", "magenta")

    async def refused_by_a_system(self) -> None:
        """The district's system refuses it: a receipt, and no second try."""
        paper = self._paper(VP, [DISTRICT], f"Việc {REFUSES}")
        await self._send("hệ thống nơi nhận từ chối / a system refuses", paper, {DISTRICT: "refused"})

    async def refused_by_a_clerk(self) -> None:
        """A commune's clerk refuses it, with a file."""
        paper = self._paper(DISTRICT, [MAU], f"Việc {REFUSES}")
        await self._send("văn thư từ chối / a clerk refuses", paper, {MAU: "refused"})

    async def dead_letter(self) -> None:
        """The district's system can never take it; an operator mends it and replays."""
        paper = self._paper(VP, [DISTRICT], f"Có {CHOKES}")
        title = "thư chết, rồi phát lại / a dead letter, replayed"
        await self._send(title, paper, {DISTRICT: "delivered"})
        await self.watch.until(paper.document.document_id, "failed")
        await asyncio.sleep(1)
        (self.province.system(DISTRICT) / "mended").touch()
        async with self._turns:
            _, said = await self.province.command("deadletters", "list", "--json")
            for dead in json.loads(said):
                number = str(dead["delivery_id"])
                self.watch.say(f"↻ người vận hành phát lại / an operator replays dead letter {number}", "magenta")
                await self.province.command("deadletters", "replay", number, "--reason", "đã sửa / mended")

    async def express_to_an_absent_office(self) -> None:
        """Express, to an office that never connects: it expires, and the sender is told."""
        paper = self._paper(VP, [ABSENT], "Hỏa tốc gửi nơi vắng mặt", priority=Priority.EXPRESS)
        title = "hỏa tốc tới nơi vắng mặt / express to an absent office"
        await self._send(title, paper, {ABSENT: "expired"})

    async def twice(self) -> None:
        """Sent twice: one document, the same receipt."""
        paper = self._paper(DEPARTMENT, [VP], "Gửi hai lần")
        title = "gửi hai lần / sent twice"
        await self._send(title, paper, {VP: "delivered"})
        await self._send(title, paper, {VP: "delivered"})
        del self.handed[-1]  # One document.

    async def other_content(self) -> None:
        """The same number again, with other content: refused."""
        paper = self._paper(DISTRICT, [VP], "Nội dung thứ nhất")
        await self._send("số đã dùng / a number that is used", paper, {VP: "delivered"})
        other = paper.rendered.replace("thứ nhất".encode(), "thứ hai".encode())
        title = "số đã dùng, nội dung khác / the same number, other content"
        await self._send(title, paper, {}, message=other, codes=("MSG.CONFLICT",))

    async def not_the_sender(self) -> None:
        """Sealed by the department, handed in by the district."""
        paper = self._paper(DEPARTMENT, [VP], "Mạo danh")
        title = "không phải người gửi / handed in by another office"
        sealed = self._sealed(paper)
        await self._send(title, paper, {}, message=sealed, codes=("MSG.WRONG_SENDER",), by=DISTRICT)

    async def dropped_letter(self) -> None:
        """A commune without a system drops a letter with its file."""
        paper = self._paper(HAM_RONG, [VP, DEPARTMENT], "Báo cáo cải cách hành chính")
        self._hand("thả vào thư mục / dropped into a folder", paper, {VP: "delivered", DEPARTMENT: "delivered"})
        self.watch.say(f"» {HAM_RONG} thả một văn bản vào thư mục / drops a letter")
        self._drop(HAM_RONG, paper, [("bao-cao.pdf", paper.files[0].read_bytes())])
        await self.watch.until(paper.document.document_id, "accepted")

    async def dropped_program(self) -> None:
        """A commune drops a letter with a program in it: it comes back with the reason."""
        paper = self._paper(HAM_RONG, [VP], "Kèm tệp chương trình")
        self._hand("kèm tệp thực thi / with a program inside", paper, {}, ("ATT.NAME",))
        self._drop(HAM_RONG, paper, [("bieu-mau.exe", b"MZ")])
        why = self.province.place(HAM_RONG) / "offices" / HAM_RONG / "rejected" / paper.files[0].stem / "why.txt"
        async with asyncio.timeout(60):
            while not why.exists() or "ATT.NAME" not in why.read_text():  # noqa: ASYNC110 - a file cannot be awaited.
                await asyncio.sleep(0.2)

    async def letter_over_http(self) -> None:
        """The department's system posts a letter with its file."""
        paper = self._paper(DEPARTMENT, [HAM_RONG, MAU], "Hướng dẫn chuyển đổi số")
        document = paper.document
        letter = {
            "to": [to.organ_id for to in document.addressees],
            "number": document.code_number,
            "notation": document.code_notation,
            "subject": document.subject,
            "signer": document.signer_name,
            "date": document.promulgated_on.isoformat(),
        }
        self._hand("hệ thống gửi qua HTTP / a system posts a letter", paper, {HAM_RONG: "delivered", MAU: "delivered"})
        self.watch.say(f"» {DEPARTMENT} gửi qua HTTP / posts a letter")
        await self.province.post_letter(DEPARTMENT, json.dumps(letter), list(paper.files))
        await self.watch.until(document.document_id, "accepted")

    async def message_over_http(self) -> None:
        """The district's system posts a whole edXML message with its file inside, as older systems do."""
        paper = self._paper(DISTRICT, [VP, HAM_RONG], "Báo cáo quý")
        files = [(ref, [file.read_bytes()]) for ref, file in zip(paper.document.attachments, paper.files, strict=True)]
        message = b"".join(inline(self._sealed(paper), files))
        self._write(paper, message)
        self._hand(
            "edXML nguyên khối qua HTTP / a whole edXML message", paper, {VP: "delivered", HAM_RONG: "delivered"}
        )
        self.watch.say(f"» {DISTRICT} gửi edXML nguyên khối / posts a whole edXML message")
        await self.province.post_message(DISTRICT, message)
        await self.watch.until(paper.document.document_id, "accepted")

    async def ordinary(self, number: int) -> None:
        """What happens all day."""
        ways = (
            (VP, MAU),
            (DEPARTMENT, DISTRICT),
            (HAM_RONG, VP),
            (DISTRICT, DEPARTMENT),
            (MAU, DEPARTMENT),
            (VP, HAM_RONG),
        )
        sender, addressee = ways[number % len(ways)]
        paper = self._paper(sender, [addressee], f"Trao đổi nghiệp vụ số {number + 1}")
        await self._send(f"văn bản thường / ordinary: {sender} → {addressee}", paper, {addressee: "delivered"})

    # --- the clerk of xã mẫu ---------------------------------------------------------------

    @asynccontextmanager
    async def clerk(self) -> AsyncIterator[None]:
        """Keep a clerk at work while the day goes on."""
        task = asyncio.create_task(self._clerk())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _clerk(self) -> None:
        """Answer every document in the inbox of xã mẫu, with a file, as a person does."""
        inbox = self.province.place(MAU) / "offices" / MAU / "inbox"
        number = 40
        while True:
            for folder in sorted(inbox.glob("[!.]*")):
                if any((folder / name).exists() for name in ("register.txt", "refuse.txt")):
                    continue
                if REFUSES in (folder / "van-ban.txt").read_text():
                    (folder / "refuse.txt").write_text("Không thuộc thẩm quyền của xã (ví dụ)\n")
                else:
                    number += 1
                    (folder / "register.txt").write_text(f"{number}\n")
            await asyncio.sleep(0.5)
