"""HTTP sessions that reach private networks only where the user typed such an address.

A public address that redirects, or whose name was pointed, to this machine or its network could
have phichat ask a router or a cloud's metadata service. The check is made on the connection itself,
because a name may resolve to something else a moment later.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

_LOCAL_ENDINGS = (".localhost", ".local", ".lan", ".internal", ".intranet", ".home", ".home.arpa")

_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}")
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
"""Networks of IPv6 addresses that are IPv4 addresses: compatible ones, and those of NAT64."""


class PrivateAddressError(Exception):
    """A connection led to a private address, its text, that the user did not type."""


def is_private(address: str) -> bool:
    """Check that an IP address is one of this machine or of a private network."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_site_local:
            return True
        found = found.ipv4_mapped or found.sixtofour or _translated(found) or found
    return not found.is_global or found.is_multicast


def is_typed_private(url: str) -> bool:
    """Check that the host of an address means this machine or its network."""
    host = _host(url)
    try:
        return is_private(host)
    except ValueError:
        pass
    if _NUMBERS.fullmatch(host):  # 127.1, 0x7f000001, 2130706433: as the system reads them
        try:
            return is_private(socket.inet_ntoa(socket.inet_aton(host)))
        except OSError:
            return False
    return bool(host) and ("." not in host or host.endswith(_LOCAL_ENDINGS))


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that the last bits of one for translators are."""
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _host(url: str) -> str:
    """Return the host that is connected to: what another parser reads may be another one."""
    try:
        host = parse_url(url).host
    except LocationParseError:
        host = None
    return (host or "").strip("[]").rstrip(".").lower()


def guarded_session(url: str) -> requests.Session:
    """Make a session for ``url`` and where it redirects to.

    It takes proxies and certificates from the environment, and no logins from ~/.netrc.
    """
    session = requests.Session()
    session.trust_env = False
    session.proxies = dict(get_environ_proxies(url))
    environment = os.environ
    session.verify = (
        environment.get("REQUESTS_CA_BUNDLE") or environment.get("CURL_CA_BUNDLE") or True
    )
    # what goes through a proxy is connected by other pools than these, to the proxy
    typed = _Typed(_host(url) if is_typed_private(url) else "")
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Guard(typed))
    return session


class _Typed:
    """The private host that was typed ("" for none), and the addresses that it has."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._addresses: set[str] = set()

    def checked(self, host: str, connected: socket.socket) -> socket.socket:
        """Return a connection that may be used; the others are closed."""
        address = str(connected.getpeername()[0])
        if self._host and host.strip("[]").rstrip(".").lower() == self._host:
            self._addresses.add(address)
        elif is_private(address) and address not in self._addresses:
            connected.close()
            raise PrivateAddressError(address)
        return connected


class _Guard(HTTPAdapter):
    def __init__(self, typed: _Typed) -> None:
        self._typed = typed
        super().__init__()

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options)
        typed = self._typed

        class Connection(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return typed.checked(self.host, super()._new_conn())

        class TlsConnection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return typed.checked(self.host, super()._new_conn())

        class Pool(HTTPConnectionPool):
            ConnectionCls = Connection

        class TlsPool(HTTPSConnectionPool):
            ConnectionCls = TlsConnection

        self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
