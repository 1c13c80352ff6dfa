"""config/seed/: a roll of the whole province, with identifiers that nobody takes for assigned ones."""

from pathlib import Path

import pytest

from axis.registry import check_offices, load_offices
from axis.registry.columns import COLUMNS, row_of
from axis.registry.importing import plan_import
from axis.registry.sheets import write_sheet
from tests.province import AT

SEED = Path(__file__).parents[3] / "config" / "seed" / "thanh-hoa"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a roll into which the table was imported."""
    roll = tmp_path / "offices.toml"
    roll.write_bytes((SEED / "offices.toml").read_bytes())
    planned = plan_import(SEED / "offices.csv", roll, at=AT)
    assert planned.slips == ()
    assert planned.text is not None
    roll.write_text(planned.text, encoding="utf-8")
    return roll


def test_only_certificates_are_missing(path: Path) -> None:
    assert {one.en for one in check_offices(path)[1]} == {
        "has no certificate: it cannot send, nor sign receipts",
        "its successor H56.VD.H380 is closed",  # Đông Sơn went into a city that is closed now.
    }


def test_offices_are_those_of_the_province(path: Path) -> None:
    roll = load_offices(path)
    communes = [office for office in roll.offices() if office.tier == "commune"]
    wards = roll.members(roll.groups["H56.VD.NPH"])
    assert (len(communes), len(wards)) == (166, 19)
    assert all(office.name.startswith("UBND phường ") for office in wards)
    assert roll.members(roll.groups["H56.VD.NXP"]) == tuple(communes)
    assert len({office.unit_code for office in communes}) == 166
    assert roll.by_code["H56.VD.14797"].name == "UBND phường Hạc Thành"
    assert sum(office.opened_on is None for office in communes) == 21  # Resolution 1686, clause 146.
    districts = [office for office in roll.offices() if office.tier == "district"]
    assert (len(districts), {office.status.value for office in districts}) == (27, {"closed"})
    heirs = {code for office in districts if office.unit_code != "405" for code in office.successors}
    assert heirs == {office.code for office in communes}


def test_every_identifier_is_marked_as_an_example(path: Path) -> None:
    roll = load_offices(path)
    identifiers = [form for office in roll.offices() for form in office.forms] + list(roll.groups)
    assert [one for one in identifiers if not one.startswith("H56.VD.")] == []


@pytest.mark.parametrize("name", ["table.csv", "table.xlsx"])
def test_import_of_its_export_changes_nothing(path: Path, name: str) -> None:
    table = path.parent / name
    offices = load_offices(path).offices()
    write_sheet(table, [column.title for column in COLUMNS], [row_of(office) for office in offices])
    planned = plan_import(table, path, at=AT)
    assert (planned.slips, planned.changes, planned.text) == ((), (), path.read_text(encoding="utf-8"))
