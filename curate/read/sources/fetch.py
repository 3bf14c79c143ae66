"""Images and source files from the network, only if the user asked for it.

Addresses come from foreign rows: only http and https, only hosts whose addresses are all public
(unless the user allows others). The connection goes to the address that was checked, so a name that
changes in between leads nowhere else. Redirects are checked like the first address. Sizes, times and
the number of redirects are limited; the content must begin like an image.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from curate.read.rows import printable
from pairwright.errors import DataError
from pairwright.images import ImageError

if TYPE_CHECKING:
    import httpx

MAX_IMAGE_BYTES: Final = 20 << 20
_MAX_REDIRECTS: Final = 3
_MAX_ADDRESSES: Final = 3
_TIMEOUT_S: Final = 10.0
_DEADLINE_S: Final = 60.0
_AT_ONCE: Final = 16
_TRIES: Final = 3
_BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_CHUNK: Final = 1 << 16
# First bytes of the formats that are read.
_HEADS: Final = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II", b"MM", b"P", b"RIFF")


class _RefusedError(Exception):
    """An address that is not fetched, or a reply that is not accepted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Fetcher:
    """Fetches by http(s), several at once; used as a context manager or closed."""

    def __init__(self, *, allow_private: bool = False) -> None:
        """Prepare without connecting.

        Args:
            allow_private: Whether private and loopback addresses are allowed too.
        """
        import httpx

        self._allow_private = allow_private
        # No proxy of the environment: it would resolve names itself, without checks.
        self._client = httpx.Client(
            timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False, http2=False
        )
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")

    def close(self) -> None:
        """Stop all requests."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def images(self, urls: Sequence[str]) -> list[bytes | ImageError]:
        """Contents of image addresses, in order, or why there is none."""
        return list(self._pool.map(self._image, urls))

    def _image(self, url: str) -> bytes | ImageError:
        try:
            return self._with_retries(url)
        except _RefusedError as error:
            return ImageError(error.reason, printable(error.detail, 400))

    def _with_retries(self, url: str) -> bytes:
        for attempt in range(_TRIES):
            try:
                return self._get(url)
            except _RefusedError as error:
                if error.reason != "fetch_failed" or attempt == _TRIES - 1:
                    raise
                time.sleep(0.5 * 2**attempt)
        raise AssertionError

    def _get(self, url: str) -> bytes:
        content = bytearray()
        with self.open(url) as (response, deadline):
            for chunk in _chunks(url, response, deadline):
                content += chunk
                if len(content) > MAX_IMAGE_BYTES:
                    raise _RefusedError(
                        "image_too_large", f"{url}: more than {MAX_IMAGE_BYTES} bytes"
                    )
                if len(content) >= 16 and not _like_image(content):
                    break
        if not _like_image(content):
            kind = response.headers.get("content-type", "no content type")
            detail = f"{url}: the content is not an image ({kind}; first bytes {bytes(content[:12]).hex(' ')})"
            raise _RefusedError("not_an_image", detail)
        return bytes(content)

    @contextmanager
    def open(self, url: str, headers: dict[str, str] | None = None) -> Iterator[tuple[Any, float]]:
        """Request an address and follow its redirects, each checked.

        Args:
            url: The address.
            headers: To send with the request.
        """
        import httpx

        deadline = time.monotonic() + _DEADLINE_S
        where, at = url, ""
        for _ in range(_MAX_REDIRECTS + 1):
            at = where
            try:
                response = self._send(where, headers)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
                detail = f"{where}: {type(error).__name__}: {error}"
                raise _RefusedError("fetch_failed", detail) from error
            try:
                if response.status_code not in _REDIRECTS:
                    _check(where, response)
                    yield response, deadline
                    return
                where = urljoin(where, response.headers.get("location", ""))
            finally:
                response.close()
        detail = f"{url}: more than {_MAX_REDIRECTS} redirects, the last one from {at}"
        raise _RefusedError("too_many_redirects", detail)

    def _send(self, url: str, headers: dict[str, str] | None) -> httpx.Response:
        """Connect to the checked addresses, one after another until one is reached."""
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _RefusedError("remote_image", f"{url}: only http and https are fetched")
        if parts.username or parts.password:
            raise _RefusedError("remote_image", f"{url}: addresses with a password are not fetched")
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        addresses = self._resolve(url, parts.hostname, parts.port or parts.scheme)
        for place, address in enumerate(addresses, start=1):
            shown = f"[{address}]" if ":" in address else address
            request = self._client.build_request(
                "GET",
                parts._replace(netloc=f"{shown}{port}", fragment="").geturl(),
                headers={
                    "Host": f"{host}{port}",
                    "Accept-Encoding": "identity",
                    "User-Agent": "pairwright",
                    **(headers or {}),
                },
                # Certificates are checked against the name, not the address.
                extensions={"sni_hostname": parts.hostname},
            )
            try:
                return self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if place == len(addresses):
                    raise
        raise AssertionError

    def _resolve(self, url: str, host: str, port: int | str) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _RefusedError(
                "fetch_failed", f"{url}: {host} cannot be resolved: {error}"
            ) from error
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        for address in addresses:
            if not self._allow_private and not _is_public(address):
                detail = (
                    f"{url}: {host} is at {address}, which is not a public address; "
                    "--allow-private-urls allows it"
                )
                raise _RefusedError("private_address", detail)
        return addresses[:_MAX_ADDRESSES]


def _is_public(address: str) -> bool:
    """Whether an address is public."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None and not _is_public(str(inner)):
            return False
        # NAT64 has an IPv4 address in its last four bytes.
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return _is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


def _check(url: str, response: Any) -> None:
    code = response.status_code
    if code in _BUSY:
        raise _RefusedError("fetch_failed", f"{url}: the server replies {code}")
    if code == 304:
        raise _RefusedError("unchanged", f"{url}: not changed")
    if code != 200:
        raise _RefusedError("missing_image", f"{url}: the server replies {code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise _RefusedError(
            "fetch_encoded", f"{url}: the server compresses although the request forbids it"
        )


def _chunks(url: str, response: Any, deadline: float) -> Iterator[bytes]:
    import httpx

    try:
        for chunk in response.iter_raw(_CHUNK):
            if time.monotonic() > deadline:
                raise _RefusedError(
                    "fetch_too_slow", f"{url}: not complete after {_DEADLINE_S:g} seconds"
                )
            yield chunk
    except (httpx.HTTPError, OSError) as error:
        raise _RefusedError("fetch_failed", f"{url}: {type(error).__name__}: {error}") from error


def _like_image(content: bytes | bytearray) -> bool:
    head = bytes(content[:16])
    return head.startswith(_HEADS) or head[4:8] == b"ftyp"


def fetch_source(url: str, folder: Path, *, allow_private: bool = False) -> Path:
    """Download a source file, unless it is in the folder and has not changed.

    Args:
        url: An http(s) address of one file.
        folder: Folder of the downloads.
        allow_private: Whether private and loopback addresses are allowed.

    Raises:
        DataError: If it cannot be fetched.
    """
    import xxhash

    name = Path(urlsplit(url).path).name[-100:].lstrip(".") or "source"
    target = folder / xxhash.xxh3_64_hexdigest(url.encode("utf-8", "replace")) / name
    etag = target.with_name(f".{name}.etag")
    target.parent.mkdir(parents=True, exist_ok=True)
    headers = {}
    if target.is_file() and etag.is_file():
        headers["If-None-Match"] = etag.read_text(encoding="utf-8")
    fetcher = Fetcher(allow_private=allow_private)
    try:
        return _download(fetcher, url, target, etag, headers)
    except (_RefusedError, OSError) as error:
        msg = f"{url}: cannot be fetched ({error})"
        raise DataError(msg) from error
    finally:
        fetcher.close()


def _download(
    fetcher: Fetcher, url: str, target: Path, etag: Path, headers: dict[str, str]
) -> Path:
    import httpx

    temporary = target.with_name(f".tmp-{os.getpid()}-{target.name}")
    try:
        with fetcher.open(url, headers) as (response, _), temporary.open("wb") as file:
            for chunk in response.iter_raw(1 << 20):
                file.write(chunk)
            version = response.headers.get("etag")
        temporary.replace(target)
    except _RefusedError as error:
        if error.reason == "unchanged":
            return target
        raise
    except httpx.HTTPError as error:
        raise _RefusedError("fetch_failed", f"the download stops: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    if version:
        etag.write_text(version, encoding="utf-8")
    else:
        etag.unlink(missing_ok=True)
    return target
