"""HTTP sessions that reach private networks only where the user typed such an address.

A public address that redirects, or whose name was pointed, to this machine or its network could
have phichat ask a router or a cloud's metadata service. The check is made on the connection itself,
because a name may resolve to something else a moment later.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_LOCAL_ENDINGS = (".localhost", ".local", ".lan", ".internal", ".intranet", ".home", ".home.arpa")


class PrivateAddressError(Exception):
    """A connection led to a private address, its text, that the user did not type."""


def is_private(address: str) -> bool:
    """Check that an IP address is one of this machine or of a private network."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return not (mapped or found).is_global or found.is_multicast


def is_typed_private(url: str) -> bool:
    """Check that the host of an address means this machine or its network."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        return is_private(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_ENDINGS)


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
    # through a proxy the connection is the proxy's
    if not (is_typed_private(url) or session.proxies):
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Guard())
    return session


class _Guard(HTTPAdapter):
    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _checked(connected: socket.socket) -> socket.socket:
    address = str(connected.getpeername()[0])
    if is_private(address):
        connected.close()
        raise PrivateAddressError(address)
    return connected


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
