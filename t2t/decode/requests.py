"""Requests in OpenAI's form of chat completions as conversations of ours.

    {"messages": [{"role": "user", "content": [
       {"type": "text", "text": "what number is this"},
       {"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}]}],
     "modalities": ["text", "audio"], "audio": {"voice": "alto", "format": "wav"}}

Parts of vLLM (`audio_url`, `video_url`) and Qwen (`image`, `audio`, `video`) are read,
too. What would change the answer and is not done is refused, never ignored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from t2t.decode.engine import ChatOptions
from t2t.decode.fields import REQUIRED, Fields, RequestError, shown, written
from t2t.decode.grammar import Limits as Lengths
from t2t.decode.options import DecodeOptions
from t2t.decode.references import SIDE, References
from t2t.media.fetch import Access
from t2t.media.layout import VOICES
from t2t.media.limits import Limits
from t2t.media.messages import MODALITIES, Message, Text

MOST_MESSAGES, MOST_PARTS, MOST_TEXT, MOST_ANSWERS = 256, 256, 100_000, 8
FORMATS = ("wav", "flac", "mp3", "opus", "pcm16")
ROLES = {
    "system": "system", "developer": "system", "user": "user", "assistant": "assistant",
}  # fmt: skip
FIELDS = (
    "model", "messages", "modalities", "audio", "temperature", "seed", "n", "stream",
    "stream_options", "max_completion_tokens", "max_tokens",
)  # fmt: skip
# What changes no answer.
IGNORED = (
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "service_tier", "store", "user", "verbosity",
)  # fmt: skip
# OpenAI's other fields, at the values that ask for nothing.
PLAIN: dict[str, Any] = {
    "frequency_penalty": (0,), "function_call": ("none",), "functions": ([],),
    "logit_bias": ({},), "logprobs": (False,), "parallel_tool_calls": (True, False),
    "prediction": (), "presence_penalty": (0,), "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},), "stop": ([],), "tool_choice": ("none",),
    "tools": ([],), "top_logprobs": (0,), "top_p": (1,), "web_search_options": (),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked.

    messages: with their media decoded.
    modalities: of the answer; speech has its words written, too.
    audio_format: one of FORMATS; 'pcm16' is raw at 24 kHz.
    temperature: None for the run's own way.
    most_tokens: of text, and of frames of sound, as asked for; None for the usual.
    n: answers.
    counted: whether a stream ends with its usage.
    seal: of PNG and WAV as they leave, such as `Mitigations.seal`.
    decoding: how a text model's outputs are found; None for the usual.
    stop: texts before which an answer ends.
    client: who asks, for turns to be fair.
    """

    messages: tuple[Message, ...]
    modalities: tuple[str, ...] = ("text",)
    voice: str = VOICES[0]
    audio_format: str = "wav"
    options: ChatOptions = ChatOptions()
    temperature: float | None = None
    most_tokens: int | None = None
    stream: bool = False
    n: int = 1
    model: str = ""
    counted: bool = False
    seal: Callable[[bytes], bytes] = lambda data: data
    decoding: DecodeOptions | None = None
    stop: tuple[str, ...] = ()
    client: str = ""


def parse(
    request: Any,
    *,
    access: Access | None = None,
    limits: Limits | None = None,
    side: int = SIDE,
) -> Request:
    """A request of chat completions.

    Args:
      request: of JSON, an object.
      access: what its references may be; only `data:` when it is not given.
      limits: of decoding its media.
      side: pixels of a side of pictures and films, as the run takes them.

    Raises:
      RequestError: for what cannot be read or is not done here.
      MediaUnavailable: when a library is missing.
    """
    fields = Fields(request)
    fields.only(FIELDS, ignored=(*IGNORED, *PLAIN))
    fields.refuse(PLAIN)
    model = fields.text("model", "")
    # What costs nothing to refuse comes before what is fetched.
    asked = _asked(fields)
    references = References(access or Access(), limits or Limits(), side)
    messages = _messages(fields, references)
    return Request(messages, model=model, **asked)


def drawing(fields: Fields) -> dict[str, Any]:
    """'options', 'temperature' and 'most_tokens' of a request's fields."""
    usual = Lengths()
    name = "max_completion_tokens"
    if name not in fields and "max_tokens" in fields:
        name = "max_tokens"
    most = fields.integer(name, None, low=1, high=2**31 - 1)
    lengths = usual
    if most is not None:
        lengths = Lengths(min(usual.pieces, most), min(usual.frames, most))
    temperature = fields.number("temperature", None, low=0.0, high=2.0)
    seed = fields.integer("seed", 0, low=-(2**63), high=2**63 - 1)
    options = ChatOptions(
        temperature=temperature or 0.0, seed=seed % 2**32, limits=lengths
    )
    return {"options": options, "temperature": temperature, "most_tokens": most}


# -- what is asked for ---------------------------------------------------------------


def _asked(fields: Fields) -> dict[str, Any]:
    """All fields of a `Request` but its messages and model."""
    modalities = _modalities(fields)
    stream = fields.boolean("stream", False)
    asked = {
        "modalities": modalities,
        "stream": stream,
        "n": fields.integer("n", 1, low=1, high=MOST_ANSWERS),
        **drawing(fields),
    }
    if "audio" in fields:
        audio = fields.object("audio")
        audio.only(("voice", "format"))
        asked["voice"] = audio.text("voice", VOICES[0], among=VOICES)
        asked["audio_format"] = audio.text("format", "wav", among=FORMATS)
    if "stream_options" in fields:
        options = fields.object("stream_options")
        options.only(("include_usage",), ignored=("include_obfuscation",))
        asked["counted"] = options.boolean("include_usage", False)
    format = asked.get("audio_format", "wav")
    if stream and "audio" in modalities and format != "pcm16":
        raise RequestError(
            f"audio.format is {format!r}: speech is streamed as 'pcm16'",
            param="audio.format",
        )
    return asked


def _modalities(fields: Fields) -> tuple[str, ...]:
    given = fields.items("modalities", ["text"])
    for value in given:
        if value not in MODALITIES:
            raise RequestError(
                f"modalities holds {shown(value)}: some of {', '.join(MODALITIES)} "
                "are expected",
                param="modalities",
            )
    if not given:
        raise fields.wrong("modalities", f"some of {', '.join(MODALITIES)} is expected")
    words = {"text"} if "audio" in given else set()
    return tuple(m for m in MODALITIES if m in {*given, *words})


# -- messages ------------------------------------------------------------------------


def _messages(fields: Fields, references: References) -> tuple[Message, ...]:
    given = fields.items("messages")
    if not 1 <= len(given) <= MOST_MESSAGES:
        raise RequestError(
            f"{len(given)} messages: 1 to {MOST_MESSAGES} are read", param="messages"
        )
    messages = [
        message(Fields(value, f"messages[{i}]"), references)
        for i, value in enumerate(given)
    ]
    if messages[-1].role == "assistant":
        raise RequestError(
            "the last message is the assistant's: one of the user's is expected",
            param=f"messages[{len(messages) - 1}].role",
        )
    texts = [p.text for m in messages for p in m.parts if isinstance(p, Text)]
    if sum(map(len, texts)) > MOST_TEXT:
        raise RequestError(
            f"{sum(map(len, texts)):,} characters: at most {MOST_TEXT:,} are read",
            param="messages",
            code="context_length_exceeded",
        )
    return tuple(messages)


def conversation(
    messages: Sequence[Message | dict[str, Any]], *, side: int = SIDE
) -> list[Message]:
    """Messages of ours, or as OpenAI has them.

    Paths below the working folder are read, addresses are not.

    Raises:
      RequestError: for what cannot be read.
    """
    references = References(Access(folder=Path.cwd()), Limits(), side)
    return [
        one
        if isinstance(one, Message)
        else message(Fields(one, f"messages[{i}]"), references)
        for i, one in enumerate(messages)
    ]


def message(fields: Fields, references: References) -> Message:
    """One message of a request.

    Raises:
      RequestError: for what cannot be read.
    """
    fields.only(
        ("role", "content", "audio"),
        ignored=("annotations", "function_call", "name", "refusal", "tool_calls"),
    )
    fields.refuse({"tool_calls": ([],), "function_call": ({},)})
    role = ROLES[fields.text("role", among=tuple(ROLES))]
    if "audio" in fields:
        raise RequestError(
            f"{fields.path('audio')}: earlier speech by its id is not kept; give its "
            "transcript as content",
            param=fields.path("audio"),
            code="unsupported_parameter",
        )
    content = fields.get("content", (str, list), None, "a string or an array of parts")
    if content is None:
        raise fields.wrong("content", "a string or an array of parts is expected")
    if isinstance(content, str):
        text = written(content, fields.path("content"))
        return Message(role, (Text(text),) if text else ())
    if len(content) > MOST_PARTS:
        raise fields.wrong("content", f"at most {MOST_PARTS} parts are read")
    parts: list[Any] = []
    for i, value in enumerate(content):
        inner = Fields(value, f"{fields.path('content')}[{i}]")
        parts += PARTS[inner.text("type", among=tuple(PARTS))](inner, references)
    return Message(role, tuple(parts))


Reader = Callable[[Fields, References], list[Any]]


def _text(fields: Fields, references: References) -> list[Any]:
    fields.only(("type", "text"))
    return [Text(fields.text("text"))]


def _reference(kind: str, name: str) -> Reader:
    """Reads {'type': name, name: {'url': …}}, or the url alone, as Qwen's have it."""

    def read(fields: Fields, references: References) -> list[Any]:
        fields.only(("type", name), ignored=("uuid",))
        value = fields.get(name, (dict, str), REQUIRED, "a reference")
        where = fields.path(name)
        if isinstance(value, dict):
            inner = Fields(value, where)
            inner.only(("url",), ignored=("detail",))
            value, where = inner.text("url"), inner.path("url")
        return getattr(references, kind)(value, where)

    return read


def _input_audio(fields: Fields, references: References) -> list[Any]:
    fields.only(("type", "input_audio"))
    inner = fields.object("input_audio")
    inner.only(("data", "format"))
    data, format = inner.text("data"), inner.text("format")
    return references.coded(data, inner.path("data"), declared=format)


PARTS: dict[str, Reader] = {
    "text": _text,
    "input_audio": _input_audio,
    **{
        name: _reference(kind, name)
        for kind, names in {
            "picture": ("image_url", "image"),
            "sound": ("audio_url", "audio"),
            "film": ("video_url", "video"),
        }.items()
        for name in names
    },
}
