"""Responses that mind their client: one that goes away, or reads nothing, is let go."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Request, Response

from t2t.decode.answering import Delta, Reply
from t2t.decode.fields import RequestError
from t2t.serve.gate import Receive, Scope, Send
from t2t.serve.service import Place
from t2t.serve.worker import Work


class Gone(Exception):
    """The client is not there any more."""


def json_response(
    value: Any, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """JSON of plain characters: whatever a string holds, it can be sent."""
    return Response(
        json.dumps(value).encode(),
        status_code=status,
        media_type="application/json",
        headers=headers,
    )


def error_response(error: RequestError, *, retry_after: int) -> Response:
    """An error in OpenAI's form."""
    headers = {}
    if error.status in (429, 503):
        headers["retry-after"] = str(retry_after)
    return json_response(error.json(), status=error.status, headers=headers)


async def reply_of(work: Work, request: Request) -> Reply:
    """What the work ends with, while its client is there.

    Raises:
      Gone: when the client has gone; the work is cancelled.
    """
    return await while_there(work.last(), work, request.receive)


async def while_there(doing: Awaitable[Any], work: Work, receive: Receive) -> Any:
    """What `doing` gives.

    Raises:
      Gone: when the client goes; the work is cancelled, as for any exception.
    """
    main = asyncio.ensure_future(doing)
    watch = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait({main, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not main.done():
            raise Gone
        return main.result()
    except BaseException:
        work.cancel()
        raise
    finally:
        for task in (main, watch):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Events(Response):
    """Server-sent events: lines of JSON, and [DONE].

    Args:
      work: whose items are told.
      tell: an item as values to send.
      place: freed at the end.
      stalled: seconds that the client may take to read what is sent.
    """

    def __init__(
        self,
        work: Work,
        tell: Callable[[Delta | Reply], list[Any]],
        *,
        first: list[Any],
        items: AsyncIterator[Any],
        place: Place,
        stalled: float,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self.work, self.tell, self.place = work, tell, place
        self.first, self.items, self.stalled = first, items, stalled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_there(self._send_all(send), self.work, receive)
        except (Gone, TimeoutError, OSError):
            return  # nobody is there to be told
        finally:
            self.place.free()

    async def _send_all(self, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send(
            send,
            {"type": "http.response.start", "status": self.status_code,
             "headers": headers},
        )  # fmt: skip
        try:
            for value in self.first:
                await self._event(send, json.dumps(value))
            async for item in self.items:
                for value in self.tell(item):
                    await self._event(send, json.dumps(value))
        except RequestError as error:
            # The status is sent already.
            await self._event(send, json.dumps(error.json()))
        await self._event(send, "[DONE]")
        await self._send(send, {"type": "http.response.body", "body": b""})

    async def _event(self, send: Send, data: str) -> None:
        body = f"data: {data}\n\n".encode()
        message = {"type": "http.response.body", "body": body, "more_body": True}
        await self._send(send, message)

    async def _send(self, send: Send, message: dict[str, Any]) -> None:
        await asyncio.wait_for(send(message), self.stalled)
