"""`axis edxml` and `axis lint --dialect`: what an older system has written, for a person at a desk."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axis.cli.main import root
from axis.edxml.dialects import DIALECTS, Package
from tests.conformance.dialects.test_samples import FOLDER

SAMPLES = FOLDER / "samples"


def _run(*words: str) -> Result:
    return CliRunner().invoke(root(words[0]), list(words))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_file_comes_back_through_every_dialect(tmp_path: Path, dialect: str) -> None:
    today, theirs, again = (tmp_path / name for name in ("today.edxml", "theirs.xml", "again.edxml"))
    answer = _run("edxml", "normalise", str(SAMPLES / "edoc.edxml"), "--dialect", "edoc", "-o", str(today))
    assert answer.exit_code == 0
    assert "namespace" in answer.stderr
    assert _run("lint", str(today)).exit_code == 0
    assert _run("edxml", "render", str(today), "--dialect", dialect, "-o", str(theirs)).exit_code == 0
    assert theirs.read_bytes().startswith(b"--" if DIALECTS[dialect].package is Package.MIME else b"<?xml")
    answer = _run("edxml", "normalise", str(theirs), "--dialect", dialect, "-o", str(again))
    assert (answer.exit_code, again.read_bytes()) == (0, today.read_bytes())


def test_status_has_no_files(tmp_path: Path) -> None:
    today = tmp_path / "today.edxml"
    _run("edxml", "normalise", str(SAMPLES / "status-edoc.edxml"), "--dialect", "edoc", "-o", str(today))
    assert _run("lint", str(today)).exit_code == 0
    answer = _run("edxml", "render", str(today), "--dialect", "go")
    assert (answer.exit_code, b"StatusCode>03<" in answer.stdout_bytes) == (0, True)


def test_file_that_is_not_inside_is_missed(tmp_path: Path) -> None:
    today = tmp_path / "today.edxml"
    _run("edxml", "normalise", str(SAMPLES / "sdk.edxml"), "--dialect", "sdk", "-o", str(today))
    text = today.read_text(encoding="utf-8")
    begin, end = text.index("<AttachmentEncoded"), text.index("</AttachmentEncoded>") + len("</AttachmentEncoded>")
    today.write_text(text[:begin] + text[end:], encoding="utf-8")
    answer = _run("edxml", "render", str(today), "--dialect", "sdk")
    assert (answer.exit_code, "ATT.MISSING" in answer.stdout) == (1, True)


def test_lint_says_what_is_tolerated_and_what_is_refused() -> None:
    answer = _run("lint", "--json", "--dialect", "edoc", "--unsigned", str(SAMPLES / "edoc.edxml"))
    report = json.loads(answer.stdout)
    assert (answer.exit_code, report["accepted"], report["kind"], report["violations"]) == (0, True, "document", [])
    assert ("empty-response", 29) in {(one["quirk"], one["line"]) for one in report["tolerated"]}
    shown = _run("lint", "--dialect", "edoc", str(SAMPLES / "edoc.edxml"))
    assert shown.exit_code == 1
    assert "SIG.MISSING" in shown.stdout
    assert "http://www.e-doc.vn/Schema/" in shown.stdout


def test_lint_judges_rules_and_files_of_a_dialect_too(tmp_path: Path) -> None:
    text = (SAMPLES / "edoc.edxml").read_text(encoding="utf-8")
    odd = tmp_path / "odd.edxml"
    odd.write_text(text.replace(">Công văn</edXML:TypeName>", ">Công văn mật</edXML:TypeName>"), encoding="utf-8")
    report = json.loads(_run("lint", "--json", "--dialect", "edoc", "--unsigned", str(odd)).stdout)
    assert [(one["code"], one["line"]) for one in report["violations"]] == [
        ("RULE.DOCUMENT_TYPE", 19),
        ("RULE.SECRET", 19),
    ]
    report = json.loads(_run("lint", "--json", "--dialect", "sdk", "--unsigned", str(SAMPLES / "bad-zip.edxml")).stdout)
    assert [one["code"] for one in report["violations"]] == ["ATT.ARCHIVE"]
    report = json.loads(_run("lint", "--json", "--dialect", "sdk", str(SAMPLES / "bad-doctype.edxml")).stdout)
    assert ([one["code"] for one in report["violations"]], report["tolerated"]) == (["ENV.DTD"], [])


@pytest.mark.parametrize("words", [("lint",), ("edxml", "normalise"), ("edxml", "render")])
def test_unknown_dialect_is_wrong_use(words: tuple[str, ...]) -> None:
    answer = _run(*words, str(SAMPLES / "sdk.edxml"), "--dialect", "telex")
    assert answer.exit_code == 2
    assert "dotnet" in answer.stderr
