"""Answers in OpenAI's form of chat completions, whole or as chunks of a stream."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.decode.answering import Counts, Delta, Reply
from t2t.decode.requests import Request
from t2t.media.audio import encode_audio, resampled
from t2t.media.messages import RATE, Message, Picture, Sound, Text
from t2t.media.pictures import encode_png

WIRE_RATE = 24_000  # samples a second of 'pcm16', as OpenAI has it
KEPT = 3600  # seconds for which an id of speech would be good


def answer_json(
    answers: Message | Sequence[Message],
    request: Request,
    *,
    usage: dict[str, Any] | None = None,
    finishes: Sequence[str] = (),
) -> dict[str, Any]:
    """A whole chat completion.

    Args:
      answers: one message, or `request.n` of them, sounds and pictures decoded.
      usage: as `usage_json` gives it.
      finishes: why each ended; 'stop' by default.
    """
    messages = [answers] if isinstance(answers, Message) else list(answers)
    finishes = finishes or ["stop"] * len(messages)
    choices = [
        {
            "index": index,
            "message": message_json(message, request),
            "finish_reason": finish,
            "logprobs": None,
        }
        for index, (message, finish) in enumerate(zip(messages, finishes, strict=True))
    ]
    head = heading("chat.completion", request)
    return {**head, "choices": choices, "usage": usage}


def reply_json(reply: Reply, request: Request) -> dict[str, Any]:
    """`answer_json` of a reply."""
    usage = usage_json(reply.asked, reply.answered)
    return answer_json(reply.messages, request, usage=usage, finishes=reply.finishes)


def message_json(message: Message, request: Request) -> dict[str, Any]:
    """{'role', 'content', 'refusal', 'audio'}.

    The content is the text; with pictures it is a list of parts. What is spoken stands
    in it too, as in `audio.transcript`.
    """
    text = "".join(p.text for p in message.parts if isinstance(p, Text))
    pictures = [p for p in message.parts if isinstance(p, Picture)]
    sounds = [p for p in message.parts if isinstance(p, Sound)]
    content: Any = text
    if pictures:
        words = [{"type": "text", "text": text}] if text else []
        content = [*words, *(picture_json(p, request) for p in pictures)]
    found = {"role": "assistant", "content": content, "refusal": None}
    if sounds:
        samples = np.concatenate([s.samples for s in sounds])
        sound = encoded(samples, request.audio_format, request)
        found["audio"] = {
            "id": f"audio_{secrets.token_hex(12)}",
            "data": base64.b64encode(sound).decode(),
            "transcript": text,
            "expires_at": int(time.time()) + KEPT,
        }
    return found


def picture_json(picture: Picture, request: Request) -> dict[str, Any]:
    """A picture as a part with a data: URL."""
    url = f"data:image/png;base64,{drawn(picture, request)}"
    return {"type": "image_url", "image_url": {"url": url}}


def drawn(picture: Picture, request: Request) -> str:
    """A picture as base64 of a sealed PNG."""
    return base64.b64encode(request.seal(encode_png(picture.pixels))).decode()


def encoded(samples: np.ndarray, format: str, request: Request) -> bytes:
    """Samples at 16 kHz as a file, or as bytes of 'pcm16' at 24 kHz.

    Raises:
      MediaUnavailable: when a library is missing.
    """
    if format in ("pcm16", "pcm"):
        wire = resampled(samples, RATE, wanted=WIRE_RATE)
        return encode_audio(wire, WIRE_RATE, format="pcm")
    sound = encode_audio(samples, RATE, format=format)
    return request.seal(sound) if format == "wav" else sound


def usage_json(asked: Counts, answered: Counts) -> dict[str, Any]:
    """Tokens: of text, frames of sound, codes of pictures."""

    def details(counts: Counts, **more: int) -> dict[str, int]:
        split = {f"{name}_tokens": count for name, count in vars(counts).items()}
        return {**split, **more}

    return {
        "prompt_tokens": asked.total,
        "completion_tokens": answered.total,
        "total_tokens": asked.total + answered.total,
        "prompt_tokens_details": details(asked, cached_tokens=0),
        "completion_tokens_details": details(answered, reasoning_tokens=0),
    }


def heading(kind: str, request: Request) -> dict[str, Any]:
    """{'id', 'object', 'created', 'model'}."""
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
    }


class Chunks:
    """The chunks of one stream, which share their heading; speech as 'pcm16'."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.head = heading("chat.completion.chunk", request)
        self._sounds: dict[int, tuple[str, Any]] = {}

    def first(self) -> list[dict[str, Any]]:
        """Whose answers these are."""
        return [
            self._chunk(number, {"role": "assistant", "content": ""})
            for number in range(self.request.n)
        ]

    def of(self, delta: Delta) -> list[dict[str, Any]]:
        """Chunks of a delta, if it brought anything."""
        found: list[dict[str, Any]] = []
        spoken = "audio" in self.request.modalities
        if delta.text:
            words: dict[str, Any] = {"content": delta.text}
            if spoken:
                words["audio"] = self._audio(delta.number, transcript=delta.text)
            found.append(self._chunk(delta.number, words))
        samples = self._resampled(delta)
        if samples.size:
            data = base64.b64encode(encode_audio(samples, WIRE_RATE, format="pcm"))
            sound = self._audio(delta.number, data=data.decode())
            found.append(self._chunk(delta.number, {"audio": sound}))
        if delta.picture is not None:
            part = picture_json(delta.picture, self.request)
            found.append(self._chunk(delta.number, {"content": [part]}))
        if delta.finish:
            found.append(self._chunk(delta.number, {}, finish=delta.finish))
        return found

    def last(self, reply: Reply) -> list[dict[str, Any]]:
        """The usage, where it was asked for."""
        if not self.request.counted:
            return []
        usage = usage_json(reply.asked, reply.answered)
        return [{**self.head, "choices": [], "usage": usage}]

    def _chunk(
        self, number: int, delta: dict[str, Any], *, finish: str = ""
    ) -> dict[str, Any]:
        choice = {"index": number, "delta": delta, "finish_reason": finish or None}
        return {**self.head, "choices": [{**choice, "logprobs": None}]}

    def _sound(self, number: int) -> tuple[str, Any]:
        """The id of an answer's speech, and what resamples it."""
        import soxr

        if number not in self._sounds:
            name = f"audio_{secrets.token_hex(12)}"
            self._sounds[number] = (name, soxr.ResampleStream(RATE, WIRE_RATE, 1))
        return self._sounds[number]

    def _audio(self, number: int, **what: str) -> dict[str, Any]:
        return {"id": self._sound(number)[0], **what}

    def _resampled(self, delta: Delta) -> np.ndarray:
        """What is to be heard now, at 24 kHz; the rest when the answer ends."""
        spoken = "audio" in self.request.modalities
        if not spoken or (delta.samples is None and not delta.finish):
            return np.zeros(0, np.float32)
        samples = delta.samples
        if samples is None:
            samples = np.zeros(0, np.float32)
        stream = self._sound(delta.number)[1]
        return np.asarray(stream.resample_chunk(samples, last=bool(delta.finish)))
