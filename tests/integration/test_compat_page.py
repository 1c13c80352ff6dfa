"""docs/compat.md: the script that it prints, run as printed, by two offices whose systems speak as to an older axis."""

import shutil
from pathlib import Path

import pytest

from tests.fault.trial import FLOODER, SENDER
from tests.laboratory import axis
from tests.pages import axis_with, blocks, run

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.

_TOOLS = ("bash", "curl", "jq")
_OLDER = 'dialect = "sdk"\nunsigned = "accept"\nchannel = "http"\n'
_ROLL = {  # Neither of them can sign.
    f'code = "{SENDER}"\n': f'code = "{SENDER}"\n{_OLDER}',
    'unsigned = "refuse"': 'unsigned = "accept"',
    '# channel = "http" ': 'channel = "http" ',
}


def test_page_needs_only_what_it_says() -> None:
    assert [tool for tool in _TOOLS if shutil.which(tool) is None] == []
    assert len(blocks("compat.md")) >= 8


async def test_page_works_as_printed(tmp_path: Path) -> None:
    place = tmp_path / "page"
    place.mkdir()
    async with axis_with(_ROLL, tmp_path) as running:
        more = {"AXIS": running.gateway_url, "AXIS_DATA": str(running.data), "SENDER": SENDER, "ADDRESSEE": FLOODER}
        await run(running, "compat.md", place, **more)
        code, said = await running.command(*axis("audit", "--receipts", "--spool", "--broker", "--json"))
        assert code == 0, said
