"""The trust of a running axis and of a running office, where a file of its folder was cut off while it was copied."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from axis import Document, Office, Registered, app, clock, ledger, registry
from axis.errors import PermanentError, Refusal
from axis.office import OfficeSettings
from axis.office.testing import TestAxis
from axis.office.trust import LiveTrust
from axis.seal import Trust, pki
from axis.settings import Settings

OFFICE = "H56.05"


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    """A trust folder in which the one office has been revoked."""
    folder, now = tmp_path / "trust", clock.now()
    pki.init(folder, name="CA (ví dụ)", now=now)
    pki.issue(folder, OFFICE, name="ví dụ", now=now)
    pki.revoke(folder, OFFICE, now=now)
    (folder / "offices.toml").write_text(
        '[tiers]\ndepartment = { name = "Sở, ban, ngành", rank = 2 }\n'
        f'[[offices]]\ncode = "{OFFICE}"\nname = "ví dụ"\ntier = "department"\n',
        encoding="utf-8",
    )
    return folder


@pytest.fixture
async def book(tmp_path: Path, trust: Path) -> AsyncIterator[ledger.Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    await ledger.migrate(url)
    async with ledger.Ledger.open(url) as opened:
        roll = registry.load_offices(trust / "offices.toml")
        await opened.load_registry(roll.to_rows(), roll.version, clock.now())
        yield opened


def _no_settings() -> OfficeSettings:
    raise AssertionError("given by the test axis")


def _require_revoked(trust: Trust) -> None:
    with pytest.raises(Refusal) as caught:
        trust.require(trust.signers_of(OFFICE)[0], at=clock.now())
    assert caught.value.code == "KEY.REVOKED"


def _cut(file: Path) -> bytes:
    whole = file.read_bytes()
    os.truncate(file, len(whole) // 2)
    return whole


async def test_axis_goes_on_with_the_lists_that_it_had(trust: Path, book: ledger.Ledger) -> None:
    roll = app.LiveRoll(book, Settings(data=trust.parent).filled())
    with capture_logs():
        await roll.refresh()
        before = roll()
        whole = _cut(trust / "crl.pem")
        for _ in range(2):
            with pytest.raises(PermanentError, match=r"crl\.pem: not whole"):
                await roll.refresh()
        assert roll() is before
        (trust / "crl.pem").write_bytes(whole)
        await roll.refresh()
    _require_revoked(roll()[1])


async def test_axis_does_not_start_with_half_of_a_list(trust: Path, book: ledger.Ledger) -> None:
    _cut(trust / "crl.pem")
    with pytest.raises(PermanentError, match=r"crl\.pem: not whole"):
        async with app.open_rooms(Settings(data=trust.parent)):
            pass


@pytest.mark.parametrize("has_roll", [True, False])
def test_office_goes_on_with_the_lists_that_it_had(trust: Path, has_roll: bool) -> None:
    if not has_roll:
        (trust / "offices.toml").unlink()
    live = LiveTrust(trust)
    assert live.refresh()
    before = live.trust
    whole = _cut(trust / "crl.pem")
    for _ in range(2):
        with pytest.raises(PermanentError, match=r"crl\.pem: not whole"):
            live.refresh()
    assert live.trust is before
    (trust / "crl.pem").write_bytes(whole)
    assert live.refresh()
    _require_revoked(live.trust)


async def test_office_says_which_file_it_cannot_use() -> None:
    office = Office(_no_settings)

    @office.on_document
    async def receive(doc: Document) -> Registered:
        raise AssertionError("not to be called")

    async with TestAxis(office) as axis:
        _cut(axis._folder / "trust" / "crl.pem")
        with capture_logs() as said:
            await office._open._once("trust", office._open._follow_trust)
    # Once or twice: the office may just be looking by itself.
    assert {(one["event"], one["name"]) for one in said} == {("configuration.unusable", "office trust")}
    assert "crl.pem: not whole" in said[0]["detail"]
