"""Hub client: listings, file contents, and one plain sentence for each refusal.

huggingface_hub makes the requests, so HF_ENDPOINT (a mirror), HF_TOKEN, HF_HUB_OFFLINE, timeouts
and the proxy variables have their usual meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # it marks nothing as exported
    build_hf_headers,
    get_session,
    hf_raise_for_status,
)

from assistant.families.checkpoint import WANTED
from assistant.values.errors import ModelError

# Telemetry would report the installed torch and the parent program, in a request of its own.
constants.HF_HUB_DISABLE_TELEMETRY = True

_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class BrokenOffError(Exception):
    """The connection ended before the file did; another try may succeed."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a commit; ``digest`` is its SHA-256, or git's SHA-1 if it is stored in git."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a commit to fetch, the small ones first."""

    model_id: str
    commit: str
    files: tuple[HubFile, ...]


def endpoint() -> str:
    return constants.ENDPOINT


def listing(model_id: str, revision: str) -> Listing:
    """List a model's files at a commit, branch or tag. Raises ModelError."""
    _session()
    with plainly(model_id, revision):
        try:
            info = HfApi().model_info(
                model_id,
                revision=revision,
                files_metadata=True,
                timeout=constants.HF_HUB_ETAG_TIMEOUT,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # JSON of another kind
            raise ModelError(
                f"{endpoint()} does not answer like a hub ({_reason(error)}): check HF_ENDPOINT."
            ) from None
    files = [_hub_file(one) for one in info.siblings or () if _is_wanted(one.rfilename)]
    if not _SHA1.fullmatch(str(info.sha)):
        raise ModelError(f"{endpoint()} names no commit of {model_id}: check HF_ENDPOINT.")
    return Listing(model_id, str(info.sha), tuple(sorted(files, key=lambda file: file.size)))


@contextmanager
def content(found: Listing, file: HubFile, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Request the bytes of a file from ``start`` on: (their real start, chunks).

    A server without ranges begins at 0. The request goes to the hub's own address, because the one
    that it redirects to is signed and expires. Raises ModelError; BrokenOffError when the
    connection ends too early.
    """
    url = hf_hub_url(found.model_id, file.name, revision=found.commit)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with plainly(found.model_id, found.commit):
        try:
            with _session().stream(
                "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT
            ) as response:
                if response.status_code in (408, 429, 500, 502, 503, 504):
                    raise BrokenOffError(f"the server answered {response.status_code}")
                hf_raise_for_status(response)
                yield (start if response.status_code == 206 else 0), response.iter_bytes()
        except httpx2.ProxyError:
            raise
        except httpx2.TimeoutException as error:
            raise BrokenOffError("the server does not answer") from error
        except httpx2.TransportError as error:
            raise BrokenOffError("the connection broke off") from error


def _session() -> httpx2.Client:
    """Return huggingface_hub's client. Raises ModelError for unusable proxy variables."""
    try:
        client: httpx2.Client = get_session()
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise ModelError(
            f"The proxy variables can't be used ({_reason(error)}): check HTTPS_PROXY, HTTP_PROXY "
            "and ALL_PROXY."
        ) from None
    return client


@contextmanager
def plainly(model_id: str, revision: str) -> Iterator[None]:
    """Turn each refusal of a hub into a ModelError of one sentence with advice."""
    try:
        yield
    except OfflineModeIsEnabled:
        raise ModelError(
            "HF_HUB_OFFLINE is set, so nothing can be fetched: unset it and try again."
        ) from None
    except GatedRepoError:
        raise ModelError(
            f"{model_id} is gated: accept its conditions at {endpoint()}/{model_id}, then set "
            "HF_TOKEN to a token of your account."
        ) from None
    except RevisionNotFoundError:
        raise ModelError(
            f"{endpoint()} has no revision {revision} of {model_id}: take its newest with "
            f"“phichat models pull {model_id} --revision main”."
        ) from None
    except RemoteEntryNotFoundError:
        raise ModelError(
            f"{endpoint()} lists a file of {model_id} that it does not have: try again later."
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"There is no model {model_id} at {endpoint()}: check the name, or set HF_TOKEN if it "
            "is private."
        ) from None
    except HfHubHTTPError as error:
        raise ModelError(_refused(model_id, error.response.status_code)) from None
    except httpx2.ProxyError as error:
        raise ModelError(
            f"The proxy can't be used ({_reason(error)}): check HTTPS_PROXY and HTTP_PROXY."
        ) from None
    except httpx2.TimeoutException:
        raise ModelError(f"{endpoint()} does not answer: try again later.") from None
    except httpx2.TransportError as error:
        raise ModelError(
            f"{endpoint()} can't be reached{_by_proxy()} ({_reason(error)}): check the network, "
            "HF_ENDPOINT and the proxy variables."
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ModelError(
            f"{endpoint()} does not answer like a hub ({_reason(error)}): check HF_ENDPOINT."
        ) from None


def _by_proxy() -> str:
    """Name the proxy in use, without the password that its address may have."""
    url, proxies = urlsplit(endpoint()), getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.hostname or ""):
        return ""
    return f" through the proxy {urlsplit(proxy).hostname}"


def _refused(model_id: str, status: int) -> str:
    if status in (401, 403):
        return (
            f"{endpoint()} refuses access to {model_id} (status {status}): set HF_TOKEN to a "
            "token that may read it."
        )
    if status == 404:
        return f"There is no model {model_id} at {endpoint()}: check the name."
    if status == 429:
        return f"{endpoint()} says that it was asked too often: wait some minutes, or set HF_TOKEN."
    return f"{endpoint()} answered with status {status}: try again later."


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:120].rstrip(".") if lines else type(error).__name__


def _is_wanted(name: str) -> bool:
    return "/" not in name and any(fnmatch(name, pattern) for pattern in WANTED)


def _hub_file(sibling: Any) -> HubFile:
    """Check size and digest, because the digest becomes a path. Raises ModelError."""
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    size = sibling.lfs.size if sibling.lfs else sibling.size
    if not (_SHA256 if sibling.lfs else _SHA1).fullmatch(str(digest)) or not isinstance(size, int):
        raise ModelError(
            f"{endpoint()} tells no size and checksum of {sibling.rfilename}, so what comes from "
            "there can't be checked: check HF_ENDPOINT."
        )
    return HubFile(sibling.rfilename, size, digest)
