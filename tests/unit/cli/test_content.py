"""`axis content`, and `axis lint` on contents: what intake would say, from a file."""

import json
import zipfile
from base64 import b64encode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axis import clock, edxml
from axis.cli.main import root
from axis.contents import Content, render
from tests.contents import INVITATION, SAMPLES, at, document, file_ref, ref_of

_EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture(autouse=True)
def _day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: at(25))


def _axis(*words: str) -> Result:
    return CliRunner().invoke(root(), list(words))


def _report(path: Path) -> tuple[int, dict[str, Any]]:
    answer = _axis("lint", str(path), "--json")
    report: dict[str, Any] = json.loads(answer.stdout)
    return answer.exit_code, report


@pytest.mark.parametrize("name", SAMPLES)
def test_lint_tells_a_content_by_its_root(name: str) -> None:
    kind = {"h": "dossier", "n": "task", "g": "invitation"}[name[0]]
    assert _report(_EXAMPLES / name) == (0, {"accepted": True, "kind": kind, "violations": []})


def test_lint_lists_what_is_wrong_with_a_content(tmp_path: Path) -> None:
    path = tmp_path / "giay-moi.xml"
    path.write_bytes(render(replace(INVITATION, place="", link="", ends_at=INVITATION.starts_at)))
    code, report = _report(path)
    assert (code, report["kind"]) == (1, "invitation")
    assert [(one["rule"], one["path"], one["line"]) for one in report["violations"]] == [
        ("rule:invitation.place", "/inv:GiayMoi", 2),
        ("rule:content.order", "/inv:GiayMoi/inv:ThoiGianKetThuc", 8),
    ]


def _zipped(name: str, content: bytes) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, content)
    return packed.getvalue()


def _whole(content: Content, *, packed: bool, **fields: Any) -> bytes:
    """Return an unsealed message with a content inside it."""
    xml = render(content)
    ref = replace(ref_of(content), **fields)
    message = edxml.render(document(attachments=(file_ref("bao-cao.pdf"), ref)))
    octets = b64encode(_zipped("1.xml", xml) if packed else xml)
    inside = (
        b"<AttachmentEncoded><Attachment><ContentId>cid:" + ref.content_id.encode() + b"</ContentId>"
        b'<edXML:ContentTransferEncoded xmlns:edXML="http://www.mic.gov.vn/TBT/QCVN_102_2016">'
        + octets
        + b"</edXML:ContentTransferEncoded></Attachment></AttachmentEncoded></edXML>"
    )
    return message.replace(b"</edXML>", inside)


@pytest.mark.parametrize("packed", [True, False], ids=["zip", "plain"])
def test_lint_reads_a_content_inside_a_message(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "7.edxml"
    path.write_bytes(_whole(INVITATION, packed=packed))
    assert _report(path) == (0, {"accepted": True, "kind": "document", "violations": []})
    path.write_bytes(_whole(replace(INVITATION, code="khác"), packed=packed))
    code, report = _report(path)
    assert (code, [one["rule"] for one in report["violations"]]) == (1, ["rule:invitation.code"])


def test_lint_says_how_a_content_is_listed_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "7.edxml"
    path.write_bytes(_whole(INVITATION, packed=False, name="khac.xml"))
    _, report = _report(path)
    (found,) = report["violations"]
    assert (found["code"], found["rule"]) == ("ATT.NAME", "rule:content.name")
    assert found["line"] is not None


def test_show_prints_a_content_field_by_field() -> None:
    answer = _axis("content", "show", str(_EXAMPLES / "ho-so.xml"), "--json")
    said = json.loads(answer.stdout)
    assert (said["kind"], said["content"]["code"], said["content"]["status"]) == (
        "dossier",
        "H56.05-20260810-0000123",
        4,
    )
    assert said["content"]["due_at"] == "2026-08-28T17:00:00+07:00"
    assert "2.000001" in _axis("content", "show", str(_EXAMPLES / "ho-so.xml")).stdout


def test_ics_is_made_of_an_invitation_alone(tmp_path: Path) -> None:
    made = tmp_path / "giay-moi.ics"
    assert _axis("content", "ics", str(_EXAMPLES / "giay-moi.xml"), "-o", str(made)).exit_code == 0
    assert b"METHOD:REQUEST" in made.read_bytes()
    assert "METHOD:CANCEL" in _axis("content", "ics", str(_EXAMPLES / "giay-moi.xml"), "--cancel").stdout
    other = _axis("content", "ics", str(_EXAMPLES / "ho-so.xml"))
    assert (other.exit_code, "CON.KIND" in other.output) == (1, True)
