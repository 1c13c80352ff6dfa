"""Small files go along between programs that have told each other that they take them; nothing shows it but a series."""

import re
from pathlib import Path

import httpx
import pytest

from tests.fault.trial import Conditions, trial

pytestmark = pytest.mark.xdist_group("whole axis")  # One at a time: each is several processes.

_DOCUMENTS = 30


@pytest.mark.timeout(300)
async def test_files_go_along_from_office_to_office(tmp_path: Path) -> None:
    async with trial(tmp_path, Conditions(documents=_DOCUMENTS)) as running:
        await running.settle(within_s=60)
        async with httpx.AsyncClient() as http:
            router = (await http.get(f"{running.router_address()}/metrics")).text
            gateway = (await http.get(f"{running.gateway_url}/metrics")).text
    along = {way: float(count) for way, count in re.findall(r'axis_files_along_total{way="(\w+)"} (\S+)', router)}
    # The first ones go over HTTP: the sender has not heard from the axis yet.
    assert _DOCUMENTS / 2 < along["in"] < _DOCUMENTS
    assert along["out"] > _DOCUMENTS  # To two addressees each.
    uploads = re.search(r'axis_http_requests_total{route="/v1/uploads/{digest}",status="2xx"} (\S+)', gateway)
    assert uploads
    assert along["in"] + float(uploads[1]) >= _DOCUMENTS
