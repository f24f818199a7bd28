"""What stands before all routes: sizes, keys, and from where a request comes.

A page of somebody else's that is open in a browser here must not talk to a server on
this machine: so a request's Host is ours (a name may be made to point here: DNS
rebinding), and its Origin, which browsers add and pages cannot change, is the Host.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from t2t.decode.fields import RequestError
from t2t.serve.service import Service

log = logging.getLogger("t2t.serve")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = (  # without a key
    "/", "/healthz", "/page.js", "/sound.js", "/recorder.js", "/page.css",
)  # fmt: skip
KEY_PROTOCOL = "openai-insecure-api-key."  # how browsers show it, as OpenAI's do
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
        "connect-src 'self' ws: wss:; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Gate:
    """ASGI around an app.

    Args:
      app: of all routes.
    """

    def __init__(self, app: App, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http":
            send, ended = self._told(scope, send)
        else:
            ended = contextlib.nullcontext()
        with ended:
            await self._enter(scope, receive, send)

    def _told(self, scope: Scope, send: Send) -> tuple[Send, Any]:
        """Sends, and notes what was sent for the metrics when a block ends."""
        status, since = 499, time.monotonic()

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        def note() -> None:
            route = scope.get("route")
            path = route.path if route is not None else "other"
            self.service.metrics.ended(path, status, time.monotonic() - since)

        ended = contextlib.ExitStack()
        ended.callback(note)
        return sending, ended

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin1"): v.decode("latin1") for k, v in scope["headers"]}
        try:
            self._check_host(headers)
            self._check_key(scope, headers)
            if scope["type"] == "http":
                self._check_size(headers)
        except RequestError as error:
            await refuse(scope, receive, send, error)
            return
        if scope["type"] == "http":
            receive, send = self._limited(receive), _with_headers(send)
        try:
            await self.app(scope, receive, send)
        except Exception:
            # The client has its answer; the one who serves wants to know why.
            log.exception("%s failed", scope["path"][:80])

    def _check_host(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if _loopback(self.service.options.host) and not _loopback(_name(host)):
            raise RequestError(
                "this server answers on its own machine only", code="host", status=403
            )
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host:
            raise RequestError(
                "pages of other servers are not answered", code="origin", status=403
            )

    def _check_key(self, scope: Scope, headers: dict[str, str]) -> None:
        key = self.service.options.api_key
        if not key or (scope["type"] == "http" and scope["path"] in OPEN):
            return
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            shown = ""
        for protocol in headers.get("sec-websocket-protocol", "").split(","):
            if protocol.strip().startswith(KEY_PROTOCOL):
                shown = protocol.strip()[len(KEY_PROTOCOL) :]
        if not hmac.compare_digest(shown.encode(), key.encode()):
            raise RequestError(
                "the API key is wrong: show it as 'Authorization: Bearer KEY'",
                code="invalid_api_key",
                status=401,
            )

    def _check_size(self, headers: dict[str, str]) -> None:
        length, most = headers.get("content-length", "0"), self.service.options.body
        # Whatever is no number is refused before it comes here.
        if length.isdigit() and int(length[:20]) > most:
            raise too_large(most)

    def _limited(self, receive: Receive) -> Receive:
        """Receives a body within its size and its time."""
        options, count, over = self.service.options, 0, False
        loop = asyncio.get_running_loop()
        until = loop.time() + options.reading

        async def limited() -> MutableMapping[str, Any]:
            nonlocal count, over
            if over:  # the body; what comes now is the end of the connection
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), until - loop.time())
            except TimeoutError:
                raise RequestError(
                    f"the body did not come within {options.reading:g} s",
                    code="timeout",
                    status=408,
                ) from None
            count += len(message.get("body", b""))
            if count > options.body:
                raise too_large(options.body)
            over = not message.get("more_body", False)
            return message

        return limited


def too_large(most: int) -> RequestError:
    return RequestError(
        f"the body is too large: at most {most:,} bytes are read",
        code="too_large",
        status=413,
    )


async def refuse(
    scope: Scope, receive: Receive, send: Send, error: RequestError
) -> None:
    """An error as a response, to a WebSocket before it is accepted, too."""
    body = json.dumps(error.json()).encode()
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # that it connects
        kind = "websocket.http"
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if error.status in (429, 503):
        headers.append((b"retry-after", b"1"))
    await send(
        {"type": f"{kind}.response.start", "status": error.status, "headers": headers}
    )
    await send({"type": f"{kind}.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    more = [(k.encode(), v.encode()) for k, v in HEADERS.items()]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sending


def _place(origin: str) -> str:
    """Its name and port."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Of a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
