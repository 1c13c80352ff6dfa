"""Where a webhook may lead: table of addresses, and of what is no address."""

import asyncio
import ipaddress
import socket
from typing import Any

import pytest

from axis.errors import Refusal
from axis.webhooks import Allowed
from axis.webhooks.places import Place

_NOTHING = Allowed.of([])
_SOME = Allowed.of(["10.8.0.0/16", "qlvb.tinh.vn", "192.168.7.9", "fd00:8::/32"])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "10.8.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254",  # noqa: S104
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fd00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::",
        "64:ff9b:1::a00:1", "::a00:1", "::7f00:1", "::1.1.1.1", "::ffff:0:a00:1", "::ffff:0:7f00:1", "fec0::1", "feff::1",
        "5f00::1", "4000::1",
    ],
)  # fmt: skip
def test_private_address_is_not_permitted_by_itself(address: str) -> None:
    assert not _NOTHING.permits("receiver.example.vn", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "203.162.0.11", "2001:4860:4860::8888", "2405:4800::1", "::ffff:1.1.1.1"]
)
def test_public_address_is_permitted(address: str) -> None:
    assert _NOTHING.permits("receiver.example.vn", ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("host", "address", "permitted"),
    [
        ("a.vn", "10.8.3.4", True),
        ("a.vn", "::ffff:10.8.3.4", True),
        ("a.vn", "10.9.3.4", False),
        ("QLVB.tinh.vn", "10.9.3.4", True),
        ("x.qlvb.tinh.vn", "10.9.3.4", False),
        ("a.vn", "192.168.7.9", True),
        ("a.vn", "192.168.7.8", False),
        ("a.vn", "fd00:8::1", True),
        ("a.vn", "fd00:9::1", False),
    ],
)
def test_private_address_is_permitted_where_the_operator_says_so(host: str, address: str, permitted: bool) -> None:
    assert _SOME.permits(host, ipaddress.ip_address(address)) is permitted


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example.vn/axis", "ftp://receiver.example.vn/", "https://", "https:///axis", "receiver", "",
        "https://user:word@receiver.example.vn/", "https://receiver.example.vn:99999/", "https://receiver.example.vn/#x",
        "https://receiver.example.vn/a b", "https://receiver.example.vn\\@10.0.0.1/", "https://nhận.vn/", "file:///etc/passwd",
        "https://receiver.example.vn/" + "x" * 2000, "https://[::1", "https://a\r\nb/",
    ],
)  # fmt: skip
def test_what_is_no_https_address_is_refused(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        _NOTHING.read(url)
    assert refused.value.code == "API.WEBHOOK"


def test_address_is_read() -> None:
    assert _NOTHING.read("https://receiver.example.vn/axis?x=1") == Place("https", "receiver.example.vn", 443)
    assert _NOTHING.read("https://[2001:db8::1]:8443") == Place("https", "2001:db8::1", 8443)
    assert Allowed.of([], plain_loopback=True).read("http://localhost/x") == Place("http", "localhost", 80)


async def test_of_several_addresses_one_that_is_permitted_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    place = Place("https", "receiver.example.vn", 443)
    found = ["10.0.0.1", "1.1.1.1"]
    assert await _NOTHING.address_of(place) == "1.1.1.1"
    found = ["10.0.0.1", "169.254.169.254"]
    assert await _NOTHING.address_of(place) is None


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
async def test_loopback_in_other_words_is_loopback(host: str) -> None:
    assert await _NOTHING.address_of(Place("https", host, 443)) is None


async def test_plain_http_leads_to_this_machine_alone() -> None:
    allowed = Allowed.of(["10.0.0.0/8"], plain_loopback=True)
    assert await allowed.address_of(Place("http", "10.0.0.1", 80)) is None
    assert await allowed.address_of(Place("http", "127.0.0.1", 80)) == "127.0.0.1"
