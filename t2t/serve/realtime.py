"""The WebSocket /v1/realtime: one voice session, in OpenAI's events.

Events are taken one after another; an answer goes on beside them, a chunk at a time, so
that what is heard meanwhile can interrupt it. All that touches the network is done by
the worker, in the session's own lane.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from t2t import registry
from t2t.decode.decoder import DecodeError
from t2t.decode.fields import Fields, RequestError, read_json, shown
from t2t.decode.references import References
from t2t.media.messages import RATE
from t2t.serve import events
from t2t.serve.gate import KEY_PROTOCOL, refuse
from t2t.serve.replies import Gone
from t2t.serve.service import Service
from t2t.serve.speaking import Speaking
from t2t.serve.wire import Resampler, samples_of

RECENT = 0.4  # seconds of sound that are heard again after an interruption
PIECE = RATE // 5  # samples that are heard in one step: others wait no longer
MOST_EVENT = 16 * 2**20  # characters
END = object()
# Of one response, what is not done, at the values that ask for nothing.
NOT_HERE = {**events.PLAIN, "audio": (), "conversation": ("auto",), "input": ()}
log = logging.getLogger("t2t.serve")


async def serve(socket: WebSocket, service: Service) -> None:
    """Serves one client until it goes, is silent for too long, or reads nothing."""
    try:
        with service.voice():
            service.check_model(socket.query_params.get("model", ""))
            realtime = Realtime(socket, service, await _opened(service))
            # Browsers show their key as a protocol and want one of theirs back.
            offered = socket.headers.get("sec-websocket-protocol", "")
            protocols = [p.strip() for p in offered.split(",")]
            usable = [p for p in protocols if p and not p.startswith(KEY_PROTOCOL)]
            try:
                await socket.accept(subprotocol=usable[0] if usable else None)
            except OSError:
                return  # the client has gone already
            try:
                await realtime.run()
            finally:
                await realtime.close()
    except RequestError as error:
        await refuse(socket.scope, socket.receive, socket.send, error)


async def _opened(service: Service) -> Any:
    return await service.worker.call("", service.answerer.voice_session)


class Realtime:
    """A client and its session.

    Args:
      session: a `VoiceSession`.
    """

    def __init__(self, socket: WebSocket, service: Service, session: Any) -> None:
        self.socket, self.service = socket, service
        self.session: Any = session
        self.id = events.name("sess")
        self.settings = events.Settings()
        self.speaking: Speaking | None = None
        self._cut: float | None = None  # seconds heard of an answer, not told yet
        self._item, self._last_item = events.name("item"), None
        self._heard = 0  # samples at 16 kHz
        self._recent = np.zeros(0, np.float32)
        self._resampler = Resampler(self.settings.rate_in, RATE)
        self._sending, self._dropped = asyncio.Lock(), asyncio.Event()

    # -- the connection ------------------------------------------------------------

    async def run(self) -> None:
        """Takes events until the client goes."""
        await self.send("session.created", session=self._settings())
        with contextlib.suppress(Gone):
            while (message := await self._received()) is not None:
                await self._take(message.get("text"))

    async def _received(self) -> Any:
        """What comes next; None when the client goes, stalls or is silent too long."""
        coming = asyncio.ensure_future(self.socket.receive())
        dropped = asyncio.ensure_future(self._dropped.wait())
        both = {coming, dropped}
        try:
            await asyncio.wait(
                both, timeout=self.service.options.idle,
                return_when=asyncio.FIRST_COMPLETED,
            )  # fmt: skip
            if not coming.done() or self._dropped.is_set():
                return None
            message = coming.result()
            return None if message["type"] == "websocket.disconnect" else message
        finally:
            for task in both:
                task.cancel()

    async def close(self) -> None:
        """Ends what goes on, and lets its memory go at once: it is in a circle."""
        if self.speaking is not None:
            await self.speaking.stop()
        self.speaking = self.session = None
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.socket.close(), 1.0)

    async def send(self, kind: str, **fields: Any) -> None:
        """An event to the client.

        Raises:
          Gone: when it has gone, or reads nothing.
        """
        event = {"type": kind, "event_id": events.name("event"), **fields}
        try:
            async with self._sending:
                sent = self.socket.send_text(json.dumps(event))
                await asyncio.wait_for(sent, self.service.options.stalled)
        except (TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
            self._dropped.set()
            raise Gone from None

    async def call(self, function: Callable[[], Any]) -> Any:
        """What a function of the session gives, done by the worker.

        Raises:
          RequestError: for what the session does not do.
        """
        try:
            return await self.service.worker.call(
                self.id, function, deadline=self.service.options.deadline
            )
        except DecodeError as error:
            raise RequestError(str(error)) from None
        except RequestError:
            raise
        except Exception:
            log.exception("a voice session failed")
            raise RequestError("the server failed", code="failed", status=500) from None

    async def _take(self, text: str | None) -> None:
        """One event; what is wrong with it is told."""
        id: Any = None
        try:
            if text is None or len(text) > MOST_EVENT:
                raise RequestError("an event is text, of JSON", code="invalid_event")
            event = Fields(read_json(text), "event")
            event.where = ""  # paths begin within it
            id = event.values.get("event_id")
            kind = event.text("type")
            if kind not in HANDLERS:
                hint = registry.close_to(kind[:60], HANDLERS)
                raise RequestError(
                    f"there is no event {shown(kind)}.{hint}",
                    param="type",
                    code="invalid_event",
                )
            fields, handler = HANDLERS[kind]
            event.only(("type", "event_id", *fields))
            await handler(self, event)
        except RequestError as error:
            told = events.error_json(error, event=id)
            await self.send("error", error=told["error"])

    @property
    def answering(self) -> bool:
        return self.speaking is not None and self.speaking.going_on

    def _settings(self) -> dict[str, Any]:
        return self.settings.json(id=self.id, model=self.service.name)

    # -- events --------------------------------------------------------------------

    async def update(self, event: Fields) -> None:
        """session.update"""
        settings = self.settings.updated(event.object("session"))
        if settings.rate_in != self.settings.rate_in:
            self._resampler = Resampler(settings.rate_in, RATE)
        self.settings = settings

        def apply() -> None:
            self.session.voice = settings.voice
            self.session.turn_detection = bool(settings.detection)

        await self.call(apply)
        await self.send("session.updated", session=self._settings())

    async def append(self, event: Fields) -> None:
        """input_audio_buffer.append"""
        samples = self._resampler(samples_of(event.text("audio"), "audio"))
        for begin in range(0, len(samples), PIECE):
            await self.hear(samples[begin : begin + PIECE])

    async def hear(self, samples: np.ndarray) -> None:
        """Samples at 16 kHz; what is noticed in them is told and acted on."""
        if self.answering and self.speaking is not None:
            if not self.settings.detection:
                # By hand, to speak is to interrupt.
                await self.speaking.stop("turn_detected")
                self._cut = self.speaking.played
            elif not self.settings.interrupts:
                self._heard += len(samples)
                return
        await self._settle()
        for happened in await self.call(lambda: self.session.feed(samples)):
            await self._happened(happened, samples)
        self._heard += len(samples)
        recent = np.concatenate([self._recent, samples])
        self._recent = recent[-int(RECENT * RATE) :]

    async def _happened(self, what: str, samples: np.ndarray) -> None:
        milliseconds = 1000 * self._heard // RATE
        if what == "speech_started":
            await self.send(
                "input_audio_buffer.speech_started",
                audio_start_ms=milliseconds, item_id=self._item,
            )  # fmt: skip
            if self.settings.interrupts:
                await self._barge_in(samples)
            return
        end = milliseconds + 1000 * len(samples) // RATE
        await self.send(
            "input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=self._item
        )
        await self._committed()
        if self.settings.answers and not self.answering:
            await self._respond(self.settings.speaks)

    async def _barge_in(self, samples: np.ndarray) -> None:
        """The user speaks while the answer may still be heard: the rest is forgotten.

        The turn has begun in the session already, after words that are to go: it is
        forgotten, too, and heard again.
        """
        speaking = self.speaking
        if speaking is None or speaking.heard_whole:
            return
        await speaking.stop("turn_detected")
        played, again = speaking.played, np.concatenate([self._recent, samples])
        self.speaking = None

        def forget() -> None:
            self.session.clear()
            self.session.interrupt(played)
            self.session.feed(again)

        await self.call(forget)

    async def commit(self, event: Fields) -> None:
        """input_audio_buffer.commit"""
        rest = self._resampler(np.zeros(0, np.float32), last=True)

        def end() -> None:
            if len(rest):
                self.session.feed(rest)
            self.session.commit()

        await self._settle()
        await self.call(end)
        await self._committed()

    async def _committed(self) -> None:
        """A turn has ended: it is an item now."""
        self._recent = np.zeros(0, np.float32)
        item, before = self._item, self._last_item
        self._item, self._last_item = events.name("item"), item
        await self.send(
            "input_audio_buffer.committed", item_id=item, previous_item_id=before
        )
        content = [{"type": "input_audio", "transcript": None}]
        await self._added(events.item_json(item, "user", content), before)

    async def _added(self, item: dict[str, Any], before: str | None) -> None:
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self.send(kind, item=item, previous_item_id=before)

    async def clear(self, event: Fields) -> None:
        """input_audio_buffer.clear"""
        self._resampler = Resampler(self.settings.rate_in, RATE)
        self._recent = np.zeros(0, np.float32)
        await self.call(self.session.clear)
        await self.send("input_audio_buffer.cleared")

    async def create_item(self, event: Fields) -> None:
        """conversation.item.create"""
        item, options = event.object("item"), self.service.options
        side = self.service.answerer.side
        references = References(options.access, options.limits, side)
        rate = self.settings.rate_in
        message = await asyncio.to_thread(
            events.message_of, item, references, rate=rate
        )
        id = item.text("id", events.name("item"))
        await self._settle()
        if self.answering:
            raise RequestError("an answer is being given", code="active_response")
        await self.call(lambda: self.session.add(message))
        before, self._last_item = self._last_item, id
        kept = [
            {k: part[k] for k in ("type", "text") if isinstance(part.get(k), str)}
            for part in item.items("content")
        ]
        await self._added(events.item_json(id, message.role, kept), before)

    async def truncate(self, event: Fields) -> None:
        """conversation.item.truncate"""
        id = event.text("item_id")
        index = event.integer("content_index", 0, low=0, high=0)
        most = event.integer("audio_end_ms", low=0, high=2**31)
        speaking = self.speaking
        # Of an answer that was interrupted by speech nothing is left to forget.
        if speaking is not None and speaking.item == id:
            await speaking.stop()
            self._cut = min(most / 1000, speaking.given)
            await self._settle()
            self.speaking = None
        await self.send(
            "conversation.item.truncated",
            item_id=id, content_index=index, audio_end_ms=most,
        )  # fmt: skip

    async def respond(self, event: Fields) -> None:
        """response.create"""
        wants = self.settings.speaks
        if "response" in event:
            response = event.object("response")
            plain = {
                **events.PLAIN,
                "audio": (),
                "conversation": ("auto",),
                "input": (),
            }
            response.only(("output_modalities",), ignored=("metadata", *plain))
            response.refuse(plain)
            wants = events.speaks(response, wants)
        await self._settle()
        if self.answering:
            raise RequestError(
                "an answer is being given already",
                code="conversation_already_has_active_response",
            )
        await self._respond(wants)

    async def _respond(self, speaks: bool) -> None:
        modalities = ("text", "audio") if speaks else ("text",)
        chunks: Any = self.session.respond(modalities)

        def more() -> Any:
            return next(chunks, END)

        async def chunk() -> Any:
            found = await self.call(more)
            return None if found is END else found

        async def leave() -> None:
            await self.call(chunks.close)

        before, item = self._last_item, events.name("item")
        self._last_item = item
        self.speaking = Speaking(
            self.send, chunk, leave,
            item=item, before=before, speaks=speaks, rate=self.settings.rate_out,
        )  # fmt: skip
        await self.speaking.start()

    async def cancel(self, event: Fields) -> None:
        """response.cancel"""
        if self.speaking is None or not self.answering:
            raise RequestError(
                "no answer is being given", code="response_cancel_not_active"
            )
        await self.speaking.stop("client_cancelled")
        self._cut = self.speaking.played  # unless the client says how much it heard

    async def _settle(self) -> None:
        """Forgets what was not heard of a cancelled answer, before anything follows."""
        if self._cut is not None:
            played, self._cut = self._cut, None
            await self.call(lambda: self.session.interrupt(played))


Handler = Callable[[Realtime, Fields], Awaitable[None]]
HANDLERS: dict[str, tuple[tuple[str, ...], Handler]] = {
    "session.update": (("session",), Realtime.update),
    "input_audio_buffer.append": (("audio",), Realtime.append),
    "input_audio_buffer.commit": ((), Realtime.commit),
    "input_audio_buffer.clear": ((), Realtime.clear),
    "conversation.item.create": (("item", "previous_item_id"), Realtime.create_item),
    "conversation.item.truncate": (
        ("item_id", "content_index", "audio_end_ms"), Realtime.truncate,
    ),
    "response.create": (("response",), Realtime.respond),
    "response.cancel": (("response_id",), Realtime.cancel),
}  # fmt: skip
