"""An answer by voice as it is told to a client, chunk after chunk, beside all else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from t2t.decode.fields import RequestError
from t2t.media.messages import RATE
from t2t.serve import events
from t2t.serve.replies import Gone
from t2t.serve.wire import Resampler, data_of


class Speaking:
    """One response.

    Args:
      send: an event.
      chunk: the next `Chunk`; None at the end.
      leave: leaves the answer where it is.
      item: id of the item that it becomes, after the one `before`.
      speaks: whether there is speech, or text alone.
      rate: of samples on the wire.
    """

    def __init__(
        self,
        send: Callable[..., Awaitable[None]],
        chunk: Callable[[], Awaitable[Any]],
        leave: Callable[[], Awaitable[None]],
        *,
        item: str,
        before: str | None,
        speaks: bool,
        rate: int,
    ) -> None:
        self._send, self._chunk, self._leave = send, chunk, leave
        self.id, self.item, self.before = events.name("resp"), item, before
        self.speaks, self.rate = speaks, rate
        self.given = 0.0  # seconds of speech
        self.text = ""
        self._since: float | None = None  # when the first of it went out
        self._resampler = Resampler(RATE, rate)
        self._reason = ""
        self._task: asyncio.Task[None] | None = None

    @property
    def going_on(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def played(self) -> float:
        """Seconds that can have been heard by now."""
        if self._since is None:
            return 0.0
        return min(self.given, time.monotonic() - self._since)

    @property
    def heard_whole(self) -> bool:
        return not self.going_on and self.played >= self.given

    async def start(self) -> None:
        """Tells that it begins, and begins."""
        await self._send("response.created", response=self._json("in_progress"))
        self._task = asyncio.ensure_future(self._speak())

    async def stop(self, reason: str = "client_cancelled") -> None:
        """Stops it after the chunk that is being made, and waits for that."""
        if not self.going_on:
            return
        self._reason = reason
        assert self._task is not None
        await asyncio.wait({self._task})

    async def _speak(self) -> None:
        try:
            await self._finish(*await self._tell_all())
        except Gone:
            # Noticed by the one who reads its events, too.
            with contextlib.suppress(RequestError):
                await self._leave()

    async def _tell_all(self) -> tuple[str, Any]:
        """Chunks, until the last or until it is stopped; (status, details)."""
        try:
            await self._begin()
            while not self._reason and (found := await self._chunk()) is not None:
                await self._give(found)
                if found.finish:
                    return "incomplete", {"type": "incomplete", "reason": found.finish}
            if not self._reason:
                return "completed", None
            await self._leave()
            return "cancelled", {"type": "cancelled", "reason": self._reason}
        except RequestError as error:
            told = error.json()["error"]
            await self._send("error", error={**told, "event_id": None})
            return "failed", {"type": "failed", "error": told}

    async def _begin(self) -> None:
        item = events.item_json(self.item, "assistant", [], status="in_progress")
        await self._send(
            "response.output_item.added",
            response_id=self.id, output_index=0, item=item,
        )  # fmt: skip
        await self._send(
            "conversation.item.added", item=item, previous_item_id=self.before
        )
        await self._tell("response.content_part.added", part=self._told(""))

    async def _give(self, chunk: Any) -> None:
        if chunk.text:
            self.text += chunk.text
            await self._tell(f"{self._words}.delta", delta=chunk.text)
        if len(chunk.samples):
            await self._sound(self._resampler(chunk.samples))
            self.given += len(chunk.samples) / RATE

    async def _sound(self, samples: np.ndarray) -> None:
        if not len(samples):
            return
        self._since = self._since or time.monotonic()
        await self._tell("response.output_audio.delta", delta=data_of(samples))

    async def _finish(self, status: str, details: Any) -> None:
        if self.speaks:
            if status == "completed":
                await self._sound(self._resampler(np.zeros(0, np.float32), last=True))
            await self._tell("response.output_audio.done")
        done = {"transcript" if self.speaks else "text": self.text}
        await self._tell(f"{self._words}.done", **done)
        await self._tell("response.content_part.done", part=self._told(self.text))
        response = self._json(status, details)
        item = response["output"][0]
        await self._send(
            "response.output_item.done",
            response_id=self.id, output_index=0, item=item,
        )  # fmt: skip
        await self._send(
            "conversation.item.done", item=item, previous_item_id=self.before
        )
        await self._send("response.done", response=response)

    @property
    def _words(self) -> str:
        kind = "audio_transcript" if self.speaks else "text"
        return f"response.output_{kind}"

    async def _tell(self, kind: str, **fields: Any) -> None:
        """An event about the one part of the one item."""
        await self._send(
            kind,
            response_id=self.id, item_id=self.item, output_index=0, content_index=0,
            **fields,
        )  # fmt: skip

    def _part(self, text: str) -> dict[str, Any]:
        if self.speaks:
            return {"type": "output_audio", "transcript": text}
        return {"type": "output_text", "text": text}

    def _told(self, text: str) -> dict[str, Any]:
        """The part in events of its own, which call it by another name."""
        part = self._part(text)
        return {**part, "type": part["type"].removeprefix("output_")}

    def _json(self, status: str, details: Any = None) -> dict[str, Any]:
        output = []
        if status != "in_progress":
            whole = "completed" if status == "completed" else "incomplete"
            parts = [self._part(self.text)]
            output.append(events.item_json(self.item, "assistant", parts, status=whole))
        return {
            "id": self.id, "object": "realtime.response", "status": status,
            "status_details": details, "output": output,
            "output_modalities": ["audio" if self.speaks else "text"],
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": self.rate}}},
        }  # fmt: skip
