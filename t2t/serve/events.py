"""Events of a voice session in OpenAI's form: settings, items, responses."""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

from t2t.decode.fields import Fields, RequestError
from t2t.decode.references import References
from t2t.media.layout import VOICES
from t2t.media.messages import Message, Sound, Text
from t2t.serve.wire import HIGHEST, LOWEST, Resampler, samples_of

DETECTIONS = ("server_vad", "semantic_vad")
# What turn detection may be told; when a turn ends is the network's to say.
DETECTION_FIELDS = (
    "type", "create_response", "eagerness", "idle_timeout_ms", "interrupt_response",
    "prefix_padding_ms", "silence_duration_ms", "threshold",
)  # fmt: skip


def name(kind: str) -> str:
    """A new id: 'item_…'."""
    return f"{kind}_{secrets.token_hex(12)}"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of a session; as `session.update` changes them.

    detection: of turns: '' for by hand, or one of DETECTIONS.
    answers, interrupts: what a turn does by itself.
    rate_in, rate_out: samples a second on the wire.
    """

    detection: str = "server_vad"
    answers: bool = True
    interrupts: bool = True
    voice: str = VOICES[0]
    speaks: bool = True
    rate_in: int = 24_000
    rate_out: int = 24_000

    def updated(self, session: Fields) -> Settings:
        """With what an update says.

        Raises:
          RequestError: for what there is none of.
        """
        session.only(
            ("type", "audio", "output_modalities", "model"),
            ignored=("id", "include", "object", *PLAIN),
        )
        session.text("type", "realtime", among=("realtime",))
        session.refuse(PLAIN)
        found = dataclasses.replace(self, speaks=speaks(session, self.speaks))
        if "audio" not in session:
            return found
        audio = session.object("audio")
        audio.only(("input", "output"))
        if "input" in audio:
            found = found._hearing(audio.object("input"))
        if "output" in audio:
            output = audio.object("output")
            output.only(("format", "voice", "speed"))
            output.refuse({"speed": (1,)})
            voice = output.text("voice", found.voice, among=VOICES)
            rate = _rate(output, found.rate_out)
            found = dataclasses.replace(found, voice=voice, rate_out=rate)
        return found

    def _hearing(self, fields: Fields) -> Settings:
        fields.only(
            ("format", "turn_detection"), ignored=("noise_reduction", "transcription")
        )
        found = dataclasses.replace(self, rate_in=_rate(fields, self.rate_in))
        if "turn_detection" not in fields.values:
            return found
        if fields.values["turn_detection"] is None:
            return dataclasses.replace(found, detection="")
        turns = fields.object("turn_detection")
        turns.only(DETECTION_FIELDS)
        return dataclasses.replace(
            found,
            detection=turns.text("type", DETECTIONS[0], among=DETECTIONS),
            answers=turns.boolean("create_response", True),
            interrupts=turns.boolean("interrupt_response", True),
        )

    def json(self, *, id: str, model: str) -> dict[str, Any]:
        """As `session.created` tells it."""
        detection = None
        if self.detection:
            detection = {
                "type": self.detection,
                "create_response": self.answers,
                "interrupt_response": self.interrupts,
            }
        hears = {
            "format": {"type": "audio/pcm", "rate": self.rate_in},
            "turn_detection": detection, "transcription": None,
            "noise_reduction": None,
        }  # fmt: skip
        says = {
            "format": {"type": "audio/pcm", "rate": self.rate_out},
            "voice": self.voice, "speed": 1.0,
        }  # fmt: skip
        return {
            "type": "realtime", "object": "realtime.session", "id": id, "model": model,
            "output_modalities": ["audio" if self.speaks else "text"],
            "audio": {"input": hears, "output": says}, "instructions": "",
            "tools": [], "tool_choice": "auto", "max_output_tokens": "inf",
        }  # fmt: skip


# Settings of OpenAI's that are not done here, at the values that ask for nothing.
PLAIN: dict[str, Any] = {
    "instructions": ("",), "max_output_tokens": ("inf",), "tools": ([],),
    "tool_choice": ("auto", "none"), "tracing": (), "prompt": (),
    "truncation": ("auto", "disabled"), "parallel_tool_calls": (True, False),
    "reasoning": (),
}  # fmt: skip


def speaks(fields: Fields, usual: bool) -> bool:
    """Whether 'output_modalities' ask for speech; text goes with it anyway.

    Raises:
      RequestError: for others.
    """
    wants = fields.items("output_modalities", ["audio" if usual else "text"])
    if not wants or any(want not in ("text", "audio") for want in wants):
        raise fields.wrong("output_modalities", "['audio'] or ['text'] is expected")
    return "audio" in wants


def _rate(fields: Fields, usual: int) -> int:
    if "format" not in fields:
        return usual
    format = fields.object("format")
    format.only(("type", "rate"))
    format.text("type", "audio/pcm", among=("audio/pcm",))
    return format.integer("rate", usual, low=LOWEST, high=HIGHEST)


def message_of(item: Fields, references: References, *, rate: int) -> Message:
    """The message that `conversation.item.create` holds.

    Args:
      rate: of its sounds.

    Raises:
      RequestError: for what cannot be read.
    """
    item.only(("type", "role", "content", "id"), ignored=("object", "status"))
    item.text("type", "message", among=("message",))
    role = item.text("role", among=("system", "user", "assistant"))
    parts: list[Any] = []
    for i, value in enumerate(item.items("content")):
        part = Fields(value, f"{item.path('content')}[{i}]")
        kinds = ("input_text", "input_audio", "input_image", "output_text", "text")
        kind = part.text("type", among=kinds)
        if kind == "input_image":
            parts += references.picture(part.text("image_url"), part.path("image_url"))
        elif kind == "input_audio":
            samples = samples_of(part.text("audio"), part.path("audio"))
            if not samples.size:
                raise part.wrong("audio", "a sound of some samples is expected")
            heard = Resampler(rate, 16_000)(samples, last=True)
            parts.append(Sound(heard))
        elif text := part.text("text"):
            parts.append(Text(text))
    return Message(role, tuple(parts))


def item_json(
    id: str, role: str, content: list[dict[str, Any]], *, status: str = "completed"
) -> dict[str, Any]:
    """An item of the conversation."""
    return {
        "id": id, "object": "realtime.item", "type": "message", "status": status,
        "role": role, "content": content,
    }  # fmt: skip


def error_json(error: RequestError, *, event: Any = None) -> dict[str, Any]:
    """An `error` event, about an event of the client's where that has an id."""
    about = {"event_id": event if isinstance(event, str) else None}
    return {"type": "error", "error": {**error.json()["error"], **about}}
