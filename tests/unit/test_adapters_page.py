"""docs/adapters.md: everything that it prints works, exactly as printed."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import axis
from adapters.letters import Letter
from axis import BusinessType, Delivered, Document, Organization, Registered, edxml
from axis.cli.main import root
from axis.office.settings import ENVIRONMENT
from axis.office.testing import TestAxis
from tests.contents import TASK

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^<!-- (\w+)(?:: (\S+))? -->\n```(\w+)\n(.*?)^```$", re.M | re.S)
_LINES = 20


def _blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of the page's blocks of one kind."""
    return ((found[2] or "", found[4]) for found in _BLOCK.finditer(PAGE) if found[1] == kind)


@pytest.fixture
def printed(tmp_path: Path) -> Path:
    """A folder with the programs of the page in it."""
    for name, text in _blocks("run"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_adapter_is_short(printed: Path) -> None:
    lines = [line for line in (printed / "our_office.py").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) < _LINES


def test_adapter_passes_the_test_that_is_printed_beside_it(printed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_our_office.py"],
        cwd=printed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_adapter_says_what_it_lacks_when_nothing_is_set(printed: Path) -> None:
    done = subprocess.run(
        [sys.executable, "our_office.py"], cwd=printed, env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "CFG.INVALID" in done.stderr
    assert "AXIS_OFFICE_KEY" in done.stderr


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_sending_and_reporting_work_as_printed(printed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = _load(printed / "sending.py")

    @page.office.on_document  # type: ignore[untyped-decorator]
    async def receive(doc: Document) -> Delivered:
        return Delivered()

    async with TestAxis(page.office, code="H56.112", sender="H56.VP") as test_axis:
        await page.send_letter()
        sent = await test_axis.next_sent()
        assert isinstance(sent.message, edxml.Document)
        assert sent.message.code == "125/UBND-VP"
        await test_axis.answer(sent, Registered("5"))
        delivery = await test_axis.deliver(test_axis.document())
        await page.work_is_done(delivery.envelope_id)
        assert [one.level for one in test_axis.later(delivery).receipts] == ["delivered", "progress"]
    assert "H56.112,2026/08/25,125/UBND-VP None accepted" in capsys.readouterr().out


async def test_contents_are_sent_and_received_as_printed(printed: Path) -> None:
    page = _load(printed / "contents.py")
    async with TestAxis(page.office, code="H56.112", sender="H56.VP") as test_axis:
        letter = test_axis.document(
            originator=axis.Organization("H56.112"),
            addressees=(axis.Organization("H56.VP"),),
            promulgated_on=date(2026, 8, 25),
        )
        await page.invite(letter)
        sent = await test_axis.next_sent()
        assert isinstance(sent.message, edxml.Document)
        (ref,) = sent.message.attachments
        invitation = axis.read_content(test_axis.gateway.files[ref.sha256])
        assert isinstance(invitation, axis.Invitation)
        assert (invitation.code, invitation.guests) == (letter.document_id, (axis.Guest(organ_id="H56.VP"),))
        await test_axis.deliver(test_axis.document(), {}, [invitation, TASK])
    assert page.to_do == ["NV-2026-0042: 2026-09-05"]
    assert b"METHOD:REQUEST" in page.calendar[0]


async def test_orders_work_as_printed(printed: Path) -> None:
    page = _load(printed / "orders.py")
    async with TestAxis(page.office, code="H56.112", sender="H56.VP") as test_axis:
        await test_axis.deliver(recalled := test_axis.document())
        recall = await test_axis.deliver(test_axis.order(recalled))
        assert (recall.last.status_code, recall.last.reason) == ("15", "Đã hủy số đến.")
        await test_axis.deliver(updated := test_axis.document())
        update = await test_axis.deliver(test_axis.order(updated, BusinessType.UPDATE))
        assert (update.last.status_code, update.last.number) == ("03", "3")
        await test_axis.deliver(answered := test_axis.document(document_id="H56.VP,2026/08/25,125/VP-TH"))
        declined = await test_axis.deliver(test_axis.take_back(answered))
        assert (declined.last.status_code, declined.last.reason) == ("16", "Văn bản đã được trả lời.")
        await page.office.send(
            test_axis.document(
                originator=Organization("H56.112"),
                addressees=(Organization("H56.VP"),),
                document_id="H56.112,2026/08/25,1/A",
            )
        )
        await test_axis.next_sent()
        await page.correct("H56.112,2026/08/25,1/A")
        order = (await test_axis.next_sent(2)).message
        assert isinstance(order, edxml.Document)
        assert order.business.reason == "Sai số liệu"


@pytest.mark.parametrize(("name", "text"), list(_blocks("check")), ids=lambda value: value[:20])
def test_configurations_are_accepted_as_printed(name: str, text: str, tmp_path: Path) -> None:
    for secret, content in (("H56.05.webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("H56.05.token", "token")):
        (tmp_path / "secrets").mkdir(exist_ok=True)
        (tmp_path / "secrets" / secret).write_text(content, encoding="ascii")
    (tmp_path / name).write_text(text, encoding="utf-8")
    answer = CliRunner().invoke(root(), ["office", "check", str(tmp_path / name)])
    assert answer.exit_code == 0, answer.output


def test_letter_is_read_as_printed() -> None:
    ((_, text),) = _blocks("letter")
    draft = Letter.model_validate(tomllib.loads(text)).draft(
        office="H56.112", office_name="", at=datetime(2026, 8, 25, tzinfo=UTC)
    )
    assert (draft.code, draft.priority, len(draft.addressees)) == ("125/UBND-VP", 1, 2)


def test_variables_are_those_that_are_read() -> None:
    named = set(re.findall(r"`(AXIS_[A-Z_]+)`", PAGE))
    assert named
    assert named <= set(ENVIRONMENT)


def test_page_names_only_what_an_integrator_may_import() -> None:
    for _, text in _blocks("run"):
        for names in re.findall(r"^from axis import (.+)$", text, re.M):
            assert set(names.split(", ")) <= set(axis.__all__)
