"""`axis passwords`: what is shown once, what is kept, and of whom."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from axis import clock, ledger, seal
from axis.cli.main import root
from axis.registry import Office, Registry, Tier, Unsigned


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a ledger that has a roll."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    offices = [
        Office(code="H56.112", name="UBND mẫu (ví dụ)", tier="commune", code102="000.12.31.H56", dialect="go", unsigned=Unsigned.ACCEPT),
        Office(code="H56.113", name="UBND mẫu hai (ví dụ)", tier="commune"),
    ]  # fmt: skip
    roll = Registry.of(offices, [Tier("commune", "Xã", 0)])

    async def make() -> None:
        await ledger.migrate(url)
        async with ledger.Ledger.open(url) as book:
            await book.load_registry(roll.to_rows(), roll.version, clock.now())

    asyncio.run(make())
    return tmp_path


def _run(data: Path, *words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(root("passwords"), ["passwords", *words, "--data", str(data)])
    return answer.exit_code, answer.output


def _json(data: Path, *words: str) -> Any:
    code, said = _run(data, *words, "--json")
    assert code == 0, said
    return json.loads(said)


def test_password_is_shown_once_and_listed_by_its_digest(data: Path) -> None:
    made = _json(data, "new", "000.12.31.H56")
    assert made["office"] == "H56.112"
    (row,) = _json(data, "list")
    assert (row["office"], row["digest"], row["good"]) == ("H56.112", seal.password_digest(made["password"]), True)
    for words in (("list",), ("list", "--json")):
        assert made["password"] not in _run(data, *words)[1]


def test_new_one_ends_those_before_after_a_while(data: Path) -> None:
    _json(data, "new", "H56.112")
    _json(data, "new", "H56.112", "--overlap", "0")
    _json(data, "new", "H56.112")
    assert [row["good"] for row in _json(data, "list")] == [True, True, False]
    assert _json(data, "end", "H56.112") == {"office": "H56.112", "ended": 2}
    assert _run(data, "end", "H56.112")[0] == 1
    assert not any(row["good"] for row in _json(data, "list"))


@pytest.mark.parametrize(("office", "code"), [("H56.113", "MSG.NOT_ALLOWED"), ("H56.999", "KEY.UNKNOWN_SIGNER")])
def test_office_that_signs_gets_none(data: Path, office: str, code: str) -> None:
    exit_code, said = _run(data, "new", office)
    assert exit_code == 1
    assert code in said
    assert _json(data, "list") == []
