"""One GET that reaches public addresses only, and ends in time.

The name is resolved once and the connection made to the address that was checked; the
certificate is still the name's. Proxies of the environment are not asked.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from t2t.media.limits import MediaError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}
CHUNK = 65_536
# They lead to IPv4 addresses in disguise: 6to4, Teredo, NAT64.
DISGUISES = tuple(
    ipaddress.ip_network(n)
    for n in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96")
)


def get(
    url: str,
    *,
    networks: Sequence[Network] = (),
    redirects: int = 3,
    deadline: float = 10.0,
    most: int,
) -> tuple[bytes, str]:
    """(body, declared media type) of an http: or https: URL.

    Args:
      networks: that are allowed besides public addresses.
      deadline: seconds for everything: names, redirects, body.
      most: bytes of the body.

    Raises:
      MediaError: one line, without what was found out about the network.
    """
    visit = _Visit(networks, redirects, most)
    thread = threading.Thread(target=visit.run, args=(url,), daemon=True)
    thread.start()
    try:
        result = visit.result.get(timeout=deadline)
    except queue.Empty:
        visit.abandon()
        raise MediaError(f"{_host(url)} did not answer within {deadline:g} s") from None
    if isinstance(result, MediaError):
        raise result
    return result


class _Visit:
    """A GET in a thread, which nobody waits for longer than the deadline.

    Resolving a name, shaking hands and a server that sends one byte a second would
    each slip through the timeouts of sockets.
    """

    def __init__(self, networks: Sequence[Network], redirects: int, most: int) -> None:
        self._networks, self._redirects, self._most = networks, redirects, most
        self._abandoned = False
        self._socket: socket.socket | None = None
        self.result: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, url: str) -> None:
        try:
            self.result.put(self._follow(url))
        except MediaError as error:
            self.result.put(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            kind = type(error).__name__
            self.result.put(MediaError(f"{_host(url)} could not be read ({kind})"))

    def abandon(self) -> None:
        """Whatever the thread waits for, it is over."""
        self._abandoned = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _follow(self, url: str) -> tuple[bytes, str]:
        for _ in range(self._redirects + 1):
            answer = self._once(url)
            if not isinstance(answer, str):
                return answer
            if urlsplit(url).scheme == "https" and urlsplit(answer).scheme != "https":
                raise MediaError(f"{_host(url)} leads from https: to another scheme")
            url = answer
        raise MediaError(
            f"{_host(url)} is reached after more than {self._redirects} redirects"
        )

    def _once(self, url: str) -> str | tuple[bytes, str]:
        """The next URL, or (body, media type)."""
        parts = _checked(url)
        address, port = resolve(parts, self._networks)
        connection = self._connect(parts, str(address), port)
        with contextlib.closing(connection):
            path = parts.path or "/"
            connection.request(
                "GET",
                f"{path}?{parts.query}" if parts.query else path,
                headers={"Accept-Encoding": "identity", "User-Agent": "t2t"},
            )
            response = connection.getresponse()
            if response.status in (301, 302, 303, 307, 308):
                return urljoin(url, response.getheader("Location", ""))
            return self._body(response, url)

    def _connect(
        self, parts: SplitResult, address: str, port: int
    ) -> http.client.HTTPConnection:
        name = parts.hostname or ""
        connection = http.client.HTTPConnection(name, port, timeout=None)
        plain = self._socket = socket.create_connection((address, port), timeout=None)
        if self._abandoned:
            plain.close()
            raise TimeoutError
        connection.sock = plain
        if parts.scheme == "https":
            context = ssl.create_default_context()
            wrapped = context.wrap_socket(
                plain, server_hostname=name, do_handshake_on_connect=False
            )
            connection.sock = self._socket = wrapped
            wrapped.do_handshake()
        return connection

    def _body(self, response: http.client.HTTPResponse, url: str) -> tuple[bytes, str]:
        if response.status != 200:
            raise MediaError(f"{_host(url)} answers with status {response.status}")
        coding = response.getheader("Content-Encoding", "identity").lower()
        if coding != "identity":
            raise MediaError(f"{_host(url)} answers in {coding[:20]!r}, unasked")
        if response.length is not None:
            self._check(response.length, url)
        data = bytearray()
        while piece := response.read(CHUNK):
            data += piece
            self._check(len(data), url)
        if response.length:
            raise MediaError(f"{_host(url)} sent {response.length:,} bytes too few")
        return bytes(data), response.getheader("Content-Type", "")

    def _check(self, size: int, url: str) -> None:
        if size > self._most:
            raise MediaError(
                f"{_host(url)} sends {size:,} bytes or more: at most {self._most:,} "
                "are read"
            )


def resolve(
    parts: SplitResult, networks: Sequence[Network] = ()
) -> tuple[Address, int]:
    """The address and port to connect to.

    Raises:
      MediaError: when a name has no address, or any that is not public.
    """
    name, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise MediaError(f"{name!r} has no address") from None
    addresses = [ipaddress.ip_address(str(entry[4][0])) for entry in found]
    for address in addresses:
        if any(address in network for network in networks):
            continue
        if not is_public(address):
            raise MediaError(f"{name!r} is refused: its address is not public")
        if port not in PORTS.values():
            raise MediaError(f"{name!r} is refused: port {port} is not 80 or 443")
    return addresses[0], port


def is_public(address: Address) -> bool:
    """Whether anybody may reach it: not ours, not a neighbour's, not a group's."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id or any(address in network for network in DISGUISES):
            return False
        if address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_private
        or address.is_unspecified
    )


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MediaError(f"a URL is expected: {error}") from None
    if parts.scheme not in PORTS:
        raise MediaError(f"a URL leads to {parts.scheme[:20]!r}: http or https is read")
    if not parts.hostname or port == 0:
        raise MediaError(f"{url[:80]!r} names no host")
    if parts.username is not None or parts.password is not None:
        raise MediaError("a URL with a user's name or password is refused")
    if any(c <= " " or c >= "\x7f" for c in url):
        raise MediaError(f"{url[:80]!r} has characters that no URL has")
    return parts


def _host(url: str) -> str:
    """What errors show of a URL."""
    with contextlib.suppress(ValueError):
        return repr(urlsplit(url).hostname or url[:80])
    return repr(url[:80])
