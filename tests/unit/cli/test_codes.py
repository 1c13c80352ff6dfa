"""`axis codes`: one code explained, or all of them."""

import json

from typer.testing import CliRunner, Result

from axis.cli.main import root
from axis.edxml import catalogue


def _codes(*words: str) -> Result:
    return CliRunner().invoke(root("codes"), ["codes", *words])


def test_one_code_is_explained_however_it_is_written() -> None:
    for word in ("SIG.DIGEST", "sig.digest"):
        said = _codes(word).output
        for text in (
            "permanent · HTTP 422",
            "Nội dung đã bị thay đổi",
            "was changed after it was sealed: …",
            "→ originator",
        ):
            assert text in said
    assert "phải có lý do" in _codes("2").output
    assert json.loads(_codes("03", "--json").output)["class"] == "business"


def test_all_codes_are_listed() -> None:
    assert [one["code"] for one in json.loads(_codes("--json").output)] == [row.code for row in catalogue.rows()]
    assert "MSG.CONFLICT" in _codes().output


def test_unknown_code_is_exit_code_one() -> None:
    answer = _codes("NO.SUCH")
    assert (answer.exit_code, answer.stdout) == (1, "")
