"""Download of pictures from http(s) addresses."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

from assistant import __version__
from assistant.pictures import names
from assistant.pictures.decode import MAX_BYTES, Watch, too_large
from assistant.values.errors import PictureError

if TYPE_CHECKING:
    import requests

TOTAL_S = 60.0
"""Longest time for one picture, in seconds, from the name lookup to the last byte."""

_CONNECT_S = 10.0
_SILENCE_S = 20.0
_REDIRECTS = 5
_CHUNK = 1 << 16
_HEADERS = {
    "User-Agent": f"phichat/{__version__}",
    "Accept": "image/*, */*;q=0.1",
    # Pictures are compressed already, and the limit counts the bytes that arrive.
    "Accept-Encoding": "identity",
}


def is_web_address(text: str) -> bool:
    """Whether a text begins as an address that can be fetched."""
    return text.strip().lower().startswith(("http://", "https://"))


def read_url(
    url: str,
    *,
    total_s: float = TOTAL_S,
    watch: Watch | None = None,
) -> tuple[bytes, str]:
    """Fetch what is at an http(s) address, within ``total_s`` seconds, from name lookup to end.

    Returns its bytes and its name as shown; the kind of file is read from the bytes, not from the
    server's headers. Raises PictureError.
    """
    label = names.url_shown(url)
    answer: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

    def fetch() -> None:
        try:
            answer.put(_fetch(url, label, time.monotonic() + total_s, watch))
        except BaseException as error:
            answer.put(error)

    # In a thread, because some waits have no timeout: the name lookup, and a server that sends its
    # headers a byte at a time.
    threading.Thread(target=fetch, name="phichat-fetch", daemon=True).start()
    try:
        result = answer.get(timeout=total_s + 0.5)
    except queue.Empty:
        raise _too_slow(label) from None
    if isinstance(result, BaseException):
        raise result
    return result, names.from_url(url)


def _fetch(url: str, label: str, deadline: float, watch: Watch | None) -> bytes:
    import requests
    import urllib3

    from assistant.pictures.private_networks import PrivateAddressError, guarded_session

    waits = (_CONNECT_S, _SILENCE_S)
    try:
        with guarded_session(url) as session:
            session.max_redirects = _REDIRECTS
            with session.get(url, headers=_HEADERS, stream=True, timeout=waits) as response:
                _must_be_ok(response, label)
                return _body(response, label, deadline, watch)
    except PrivateAddressError as error:
        raise PictureError(
            f"{label} leads to {error}, an address of a private network that was not typed: "
            "download it in your browser and attach the file."
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise PictureError(_why(error, label)) from error


def _body(response: requests.Response, label: str, deadline: float, watch: Watch | None) -> bytes:
    announced = response.headers.get("Content-Length", "")
    expected = int(announced) if announced.isdecimal() else 0
    if expected > MAX_BYTES:
        raise too_large(label)
    body = bytearray()
    # read1 returns the bytes that have arrived; read would wait for a whole chunk
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        body += chunk
        if len(body) > MAX_BYTES:
            raise too_large(label)
        if time.monotonic() > deadline:
            raise _too_slow(label)
        if watch is not None:
            watch(len(body), expected)
    return bytes(body)


def _must_be_ok(response: requests.Response, label: str) -> None:
    code = response.status_code
    if code in (404, 410):
        raise PictureError(f"There is nothing at {label} (error {code}); check the address.")
    if code in (401, 402, 403, 407, 451):
        raise PictureError(
            f"The server does not give out {label} (error {code}); "
            "download it in your browser and attach the file."
        )
    if code == 429 or code >= 500:
        raise PictureError(
            f"The server could not answer for {label} (error {code}); try again later."
        )
    if code != 200:
        raise PictureError(f"The server answered {code} for {label}; check the address.")


def _too_slow(label: str) -> PictureError:
    return PictureError(
        f"{label} took too long to arrive; try again, or download it and attach the file."
    )


_REASONS = {
    "TooManyRedirects": "{} redirects in circles; check the address.",
    "SSLError": "The server of {} has no valid certificate; check the address.",
    "ProxyError": "The proxy for {} can't be reached; check HTTP_PROXY and HTTPS_PROXY.",
    "NameResolutionError": "The server of {} is not known; check the address and your connection.",
    "gaierror": "The server of {} is not known; check the address and your connection.",
    "ConnectionRefusedError": "The server of {} refuses connections; check the address.",
    "ConnectTimeout": "The server of {} does not answer; try again later.",
    "ReadTimeout": "The server of {} does not answer; try again later.",
    "ReadTimeoutError": "The server of {} does not answer; try again later.",
    "InvalidSchema": "{} leads to an address that is not http or https; check the address.",
}
"""Type of a cause -> its sentence, the more certain first."""


def _why(error: Exception, label: str) -> str:
    """Return the plain sentence for a failed request; requests nests its causes deeply."""
    causes = _causes(error)
    for cause, sentence in _REASONS.items():
        if cause in causes:
            return sentence.format(label)
    if isinstance(error, ValueError):
        return f"{label} is not a valid address; check it."
    return f"The connection broke while {label} was fetched; try again."


def _causes(error: BaseException) -> set[str]:
    """Return the names of the types of all exceptions behind an error."""
    found: set[str] = set()
    waiting: list[object] = [error]
    while waiting and len(found) < 50:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and type(cause).__name__ not in found:
            found.add(type(cause).__name__)
            reason = getattr(cause, "reason", None)
            waiting += [*cause.args, reason, cause.__cause__, cause.__context__]
    return found
