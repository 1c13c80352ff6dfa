"""Places: where a webhook may lead. What an office names, the axis connects to, from inside the province's network.

So a name is resolved once, the addresses are judged, and the connection goes to
the very address that was judged: a name that leads elsewhere a moment later
leads nowhere. Public addresses are allowed; private ones only where the
operator has listed the host or its network, because a province's offices live
in private networks and so do its databases.

Spec: docs/protocol/webhooks.md 2; RFC 6890 (special-purpose addresses); IANA, "Internet Protocol
Version 6 Address Space"; OWASP, "Server-Side Request Forgery".
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from axis.errors import refuse

_MOST_CHARS = 2000
_RESOLVE_S = 5.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# All of IPv6 that is given out for the whole world. Of the rest, the ipaddress module takes for global what stands for an
# IPv4 address (::/96, ::ffff:0:0:0/96, 64:ff9b::/96), what was for one site (fec0::/10) and what is reserved.
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
# Addresses in it that stand for others behind them: what they lead to is not what is judged.
_IN_DISGUISE = tuple(map(ipaddress.ip_network, ("2002::/16", "2001::/32")))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a webhook leads."""

    scheme: str
    host: str  # As the certificate names it.
    port: int


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows beyond public addresses over https."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    plain_loopback: bool = False  # http to this machine itself, for trials.

    @classmethod
    def of(cls, listed: Iterable[str], *, plain_loopback: bool = False) -> Self:
        """Read a list of host names, addresses and networks, as the settings have checked it."""
        hosts, networks = set[str](), list[Network]()
        for one in listed:
            try:
                networks.append(ipaddress.ip_network(one))
            except ValueError:
                hosts.add(one.casefold())
        return cls(frozenset(hosts), tuple(networks), plain_loopback)

    def permits(self, host: str, address: Address) -> bool:
        """Tell whether the axis may connect to an address that a host has."""
        if address.is_loopback and self.plain_loopback:
            return True
        if host.casefold() in self.hosts or any(address in network for network in self.networks):
            return True
        inside = _inside(address)
        if inside != address:
            return self.permits(host, inside)
        return _is_public(address)

    async def address_of(self, place: Place) -> str | None:
        """Return an address of a place that the axis may connect to; None if it has none.

        A name without an address and one with a forbidden one are not told apart: an office learns nothing of the
        axis's network by asking.
        """
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            return None
        for *_, where in found:
            address = ipaddress.ip_address(str(where[0]).partition("%")[0])
            if place.scheme == "http" and not address.is_loopback:
                continue
            if self.permits(place.host, address):
                return str(address)
        return None

    def read(self, url: str) -> Place:
        """Read the address of a webhook.

        Raises:
            Refusal: API.WEBHOOK; it is not https, or no address at all.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise refuse("API.WEBHOOK", "url") from error
        is_plain = parts.scheme == "http" and self.plain_loopback
        if parts.scheme != "https" and not is_plain:
            raise refuse("API.WEBHOOK", "url: https://")
        if not host or parts.username is not None or parts.fragment or len(url) > _MOST_CHARS or not _is_plain(url):
            raise refuse("API.WEBHOOK", "url: https://host[:port]/path")
        return Place(parts.scheme, host, port or (80 if is_plain else 443))


def _inside(address: Address) -> Address:
    """Return the address that is meant: an IPv4 one may be written as an IPv6 one."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in one for one in _IN_DISGUISE):
        return False
    return address.version == 4 or address in _GIVEN_OUT


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url and "\\" not in url
