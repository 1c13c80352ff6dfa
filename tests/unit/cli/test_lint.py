"""`axis lint`: the report that programs read, its exit codes, and that it needs nothing but the file."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axis.cli.main import root
from tests.conformance.edxml.vectors import SHAPES
from tests.province import DOCUMENT, INLINE, STATUS

KEYS = ["code", "line", "path", "rule", "vi", "en", "who_must_act", "next"]
FIVE = (  # Five faults of the schema, and where they stand.
    ("<edXML:Priority>1<", "<edXML:Priority>9<"),
    ("2026/08/25</edXML:PromulgationDate>", "25-08-2026</edXML:PromulgationDate>"),
    ("<edXML:Subject>V/v rà soát mã định danh đơn vị (ví dụ)<", "<edXML:Subject><"),
    ("<edXML:SteeringType>1</edXML:SteeringType>", ""),
    ("<edXML:CodeNumber>125<", "<edXML:CodeNumber>125678901234<"),
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("lint needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def _lint(file: Path, *options: str) -> Result:
    return CliRunner().invoke(root("lint"), ["lint", str(file), *options])


def _file(folder: Path, text: str) -> Path:
    file = folder / "letter.edxml"
    file.write_text(text, encoding="utf-8")
    return file


def _report(folder: Path, text: str) -> tuple[int, dict[str, Any]]:
    answer = _lint(_file(folder, text), "--json")
    report: dict[str, Any] = json.loads(answer.stdout)
    assert list(report) == ["accepted", "kind", "violations"]
    return answer.exit_code, report


@pytest.mark.parametrize(("text", "kind"), [(DOCUMENT, "document"), (STATUS, "status")])
def test_good_file_is_accepted(tmp_path: Path, text: str, kind: str) -> None:
    assert _report(tmp_path, text) == (0, {"accepted": True, "kind": kind, "violations": []})


def test_file_inside_is_compared_with_the_manifest(tmp_path: Path) -> None:
    whole = DOCUMENT.replace("</edXML>\n", f"{INLINE}</edXML>\n")
    assert _report(tmp_path, whole)[0] == 0
    code, report = _report(tmp_path, whole.replace("YWJj", "YWJk"))
    assert (code, [one["code"] for one in report["violations"]]) == (1, ["ATT.DIGEST"])


def test_every_fault_is_listed_with_line_and_path_and_words(tmp_path: Path) -> None:
    text = DOCUMENT
    for old, new in FIVE:
        assert old in text
        text = text.replace(old, new, 1)
    code, report = _report(tmp_path, text)
    assert (code, report["accepted"], report["kind"]) == (1, False, "document")
    assert [list(one) for one in report["violations"]] == [KEYS] * 5
    assert [one["rule"] for one in report["violations"]] == [
        "xsd:maxLength",
        "xsd:pattern",
        "xsd:minLength",
        "xsd:enumeration",
        "xsd:unexpected",
    ]
    lines = text.splitlines()
    for one in report["violations"]:
        assert one["path"].rpartition(":")[2].split("[")[0] in lines[one["line"] - 1]
        assert one["vi"] != one["en"]
        assert one["who_must_act"] == "integrator"


@pytest.mark.parametrize("vector", [one for one in SHAPES if one.expected][::7], ids=lambda one: str(one.what))
def test_lint_says_at_least_what_the_gate_says(tmp_path: Path, vector: Any) -> None:
    code, report = _report(tmp_path, vector.xml.decode())
    assert code == 1
    said = {(one["rule"], one["path"].rpartition("/")[2]) for one in report["violations"]}
    assert set(vector.expected) <= said


def test_rules_are_given_their_lines(tmp_path: Path) -> None:
    code, report = _report(tmp_path, DOCUMENT.replace("Công văn", "Thư tình").replace("2026/08/25<", "2999/08/25<"))
    assert code == 1
    found = {one["rule"]: one["line"] for one in report["violations"]}
    assert set(found) == {"rule:type.decree-30", "rule:date.not-future"}
    assert all("TypeName" in DOCUMENT.splitlines()[found["rule:type.decree-30"] - 1] for _ in (1,))


def test_file_that_is_no_xml_is_refused(tmp_path: Path) -> None:
    code, report = _report(tmp_path, "xin chào")
    assert (code, report["kind"], report["violations"][0]["code"]) == (1, None, "ENV.NOT_WELL_FORMED")


def test_person_reads_both_languages(tmp_path: Path) -> None:
    answer = _lint(_file(tmp_path, DOCUMENT.replace("<edXML:Priority>1<", "<edXML:Priority>9<")))
    assert answer.exit_code == 1
    for text in ("ENV.SCHEMA", "dòng 16", "Sai cấu trúc", "Against the schema", "Từ chối / Refused: 1"):
        assert text in answer.output
    assert _lint(_file(tmp_path, DOCUMENT)).output.strip() == "Chấp nhận / Accepted: document"


@pytest.mark.parametrize("arguments", [[], ["absent.edxml"], ["--json"], [".", "--json"]])
def test_wrong_use_is_exit_code_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(root("lint"), ["lint", *arguments]).exit_code == 2


def test_seal_is_checked_against_a_trust_folder(tmp_path: Path) -> None:
    runner = CliRunner()
    trust = tmp_path / "trust"
    for words in (["pki", "init", str(trust)], ["pki", "issue", str(trust), "H56.05", "--name", "Sở mẫu (ví dụ)"]):
        assert runner.invoke(root(), words).exit_code == 0
    plain = _file(tmp_path, DOCUMENT)
    sealed = tmp_path / "sealed.edxml"
    key, certificate = trust / "keys" / "H56.05.key.pem", trust / "certs" / "H56.05.pem"
    words = ["seal", "sign", str(plain), "--key", str(key), "--certificate", str(certificate), "-o", str(sealed)]
    assert runner.invoke(root(), words).exit_code == 0
    assert _lint(sealed, "--trust", str(trust)).exit_code == 0
    broken = _file(tmp_path, sealed.read_text(encoding="utf-8").replace("KT. GIÁM ĐỐC", "GIÁM ĐỐC"))
    answer = _lint(broken, "--trust", str(trust), "--json")
    assert answer.exit_code == 1
    assert [one["code"] for one in json.loads(answer.stdout)["violations"]] == ["SIG.DIGEST"]
    unsealed = json.loads(_lint(_file(tmp_path, DOCUMENT), "--trust", str(trust), "--json").stdout)
    assert [one["code"] for one in unsealed["violations"]] == ["SIG.MISSING"]
    assert _lint(plain, "--trust", str(tmp_path / "absent")).exit_code == 2
