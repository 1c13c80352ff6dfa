"""What is the axis's own is its owner's alone, and whole."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from axis import clock, ledger, private, spool
from axis.app import office_passwords
from axis.seal import pki


@pytest.fixture(autouse=True)
def _open_handed() -> Iterator[None]:
    """Run with the umask of a careless account."""
    before = os.umask(0)
    yield
    os.umask(before)


def _rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secret_is_replaced_or_kept(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    private.write_secret(file, b"1")
    private.write_secret(file, b"2")
    with pytest.raises(FileExistsError):
        private.write_secret(file, b"3", replace=False)
    assert (file.read_bytes(), _rights(file)) == (b"2", 0o600)
    assert list(tmp_path.iterdir()) == [file]


def test_secret_that_cannot_be_filled_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        office_passwords(tmp_path, ["H56.05"])
    monkeypatch.undo()
    assert len(office_passwords(tmp_path, ["H56.05"])["H56.05"]) > 20


def test_folders_that_lead_to_a_private_one_are_private_and_those_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir(mode=0o755)
    folder = tmp_path / "srv" / "axis" / "data"
    for _ in range(2):
        private.make_folder(folder)
    assert [_rights(one) for one in (folder, folder.parent, tmp_path / "srv")] == [0o700, 0o700, 0o755]


async def test_what_the_axis_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    data = tmp_path / "axis"
    private.make_folder(data)
    url = f"sqlite:///{data / 'ledger.sqlite'}"
    await ledger.migrate(url)
    async with ledger.Ledger.open(url) as book, spool.Spool.open(f"file://{data / 'spool'}", data / "staging"):
        await book.ping()
        found = {path.name: _rights(path) for path in data.iterdir()}
    assert found.pop("ledger.sqlite") == 0o600
    assert {name: rights for name, rights in found.items() if rights & 0o077} == {}


def test_key_is_never_overwritten(tmp_path: Path) -> None:
    pki.init(tmp_path, name="CA (ví dụ)", now=clock.now())
    key = tmp_path / "ca.key.pem"
    before = key.read_bytes()
    with pytest.raises(Exception, match="never overwritten"):
        pki._write_key(key, ec.generate_private_key(ec.SECP256R1()))
    assert (key.read_bytes(), _rights(key)) == (before, 0o600)
