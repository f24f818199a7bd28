"""What the routes take and give, for /openapi.json: made of what their readers know."""

from __future__ import annotations

from typing import Any

from t2t.decode import requests
from t2t.media.layout import VOICES
from t2t.media.messages import MODALITIES

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MOST_INPUT = 4096  # characters to be spoken or drawn
SPOKEN = {
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "opus": "audio/ogg",
    "pcm": "audio/pcm",
}  # fmt: skip
ABILITIES = ("chat", "complete", "translate")
WRITTEN = ("json", "text", "verbose_json")


def described(answer: Schema, *, body: Schema | None = None) -> dict[str, Any]:
    """How FastAPI is told of a route.

    Args:
      answer: media types of a good answer, with their schemas.
      body: as `answer`, of what is sent.
    """
    responses = {
        "200": {"description": "the answer", "content": _content(answer)},
        "default": {"description": "why not", "content": _content(json(error()))},
    }
    sent = (
        {"requestBody": {"required": True, "content": _content(body)}} if body else {}
    )
    return {"responses": responses, **sent}


def _content(kinds: Schema) -> Schema:
    return {kind: {"schema": schema} for kind, schema in kinds.items()}


def json(schema: Schema) -> Schema:
    return {"application/json": schema}


def _object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """That has no other fields."""
    return {
        "type": "object", "properties": properties, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip


def _given(required: tuple[str, ...], **properties: Schema) -> Schema:
    """That we give, and may give more of."""
    return {"type": "object", "properties": properties, "required": list(required)}


def _one_of(values: Any) -> Schema:
    return {"enum": list(values)}


def _or_null(schema: Schema) -> Schema:
    """Null is absent."""
    return {"anyOf": [schema, {"type": "null"}]}


def _plain(fields: dict[str, Any]) -> Schema:
    """Fields that are taken at the values that ask for nothing."""
    return {name: _one_of([*values, None]) for name, values in fields.items()}


def _integer(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def error() -> Schema:
    inner = _given(
        ("message", "type", "param", "code"), message=TEXT, type=TEXT,
        param=_or_null(TEXT), code=TEXT,
    )  # fmt: skip
    return _given(("error",), error=inner)


# -- what is sent --------------------------------------------------------------------


def chat() -> Schema:
    """A request of chat completions."""
    limit = _or_null(_integer(1, 2**31 - 1))
    optional = {
        "model": TEXT,
        "modalities": {"type": "array", "minItems": 1, "items": _one_of(MODALITIES)},
        "audio": _object(
            {"voice": _one_of(VOICES), "format": _one_of(requests.FORMATS)}
        ),
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "seed": _integer(-(2**63), 2**63 - 1),
        "n": _integer(1, requests.MOST_ANSWERS),
        "stream": {"type": "boolean"},
        "stream_options": _object({"include_usage": {"type": "boolean"}}),
    }
    return _object(
        {
            "messages": {
                "type": "array", "minItems": 1, "maxItems": requests.MOST_MESSAGES,
                "items": _message(),
            },
            **{name: _or_null(schema) for name, schema in optional.items()},
            "max_completion_tokens": limit,
            "max_tokens": limit,
            **{name: {} for name in requests.IGNORED},
            **_plain(requests.PLAIN),
        },
        ("messages",),
    )  # fmt: skip


def _message() -> Schema:
    parts = {
        "type": "array", "maxItems": requests.MOST_PARTS, "items": {"anyOf": _parts()},
    }  # fmt: skip
    properties = {
        "role": _one_of(requests.ROLES),
        "content": {"anyOf": [TEXT, parts]},
        "name": {},
    }
    return _object(properties, ("role", "content"))


def _parts() -> list[Schema]:
    text = _object({"type": _one_of(["text"]), "text": TEXT}, ("type", "text"))
    sound = _object({"data": TEXT, "format": TEXT}, ("data", "format"))
    found = [
        text,
        _object(
            {"type": _one_of(["input_audio"]), "input_audio": sound},
            ("type", "input_audio"),
        ),
    ]
    for name in set(requests.PARTS) - {"text", "input_audio"}:
        reference = {"anyOf": [TEXT, _object({"url": TEXT, "detail": {}}, ("url",))]}
        found.append(
            _object({"type": _one_of([name]), name: reference}, ("type", name))
        )
    return sorted(found, key=str)


PLAIN_SPEECH = {"speed": (1,), "stream_format": ("audio",), "instructions": ("",)}
PLAIN_DRAWING = {
    "background": ("auto", "opaque"), "moderation": ("auto", "low"),
    "output_compression": (100,), "partial_images": (0,),
    "quality": ("auto", "standard"), "stream": (False,), "style": (),
}  # fmt: skip
SHORT = {"type": "string", "minLength": 1, "maxLength": MOST_INPUT}


def speech() -> Schema:
    """A request of speech."""
    properties = {
        "model": TEXT, "input": SHORT, "voice": _one_of(VOICES),
        "response_format": _one_of(SPOKEN), **_plain(PLAIN_SPEECH),
    }  # fmt: skip
    return _object(properties, ("input",))


def transcription() -> Schema:
    """A form with a file."""
    properties = {
        "model": TEXT, "file": {"type": "string", "format": "binary"},
        "response_format": _one_of(WRITTEN), "language": TEXT,
    }  # fmt: skip
    return _object(properties, ("file",))


def drawing() -> Schema:
    """A request of pictures."""
    properties = {
        "model": TEXT, "prompt": SHORT, "n": _integer(1, requests.MOST_ANSWERS),
        "size": TEXT, "response_format": _one_of(["b64_json"]),
        "output_format": _one_of(["png"]), "user": {}, **_plain(PLAIN_DRAWING),
    }  # fmt: skip
    return _object(properties, ("prompt",))


MOST_TEXTS, MOST_PROMPTS, MOST_STOPS = 128, 8, 4
PLAIN_COMPLETION: dict[str, Any] = {
    "best_of": (1,), "frequency_penalty": (0,), "logit_bias": ({},), "logprobs": (),
    "presence_penalty": (0,), "suffix": ("",),
}  # fmt: skip
IGNORED_COMPLETION = ("user",)


def _texts(most: int) -> Schema:
    texts = {"type": "array", "minItems": 1, "maxItems": most, "items": TEXT}
    return {"anyOf": [TEXT, texts]}


def continuing() -> Schema:
    """A request of completions."""
    optional = {
        "model": TEXT,
        "max_tokens": _integer(1, 2**31 - 1),
        "temperature": {"type": "number", "minimum": 0, "maximum": 2},
        "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "min_p": {"type": "number", "minimum": 0, "maximum": 1},
        "top_k": _integer(0, 2**31 - 1),
        "n": _integer(1, requests.MOST_ANSWERS),
        "seed": _integer(-(2**63), 2**63 - 1),
        "stop": _texts(MOST_STOPS),
        "stream": {"type": "boolean"},
        "stream_options": _object({"include_usage": {"type": "boolean"}}),
        "echo": {"type": "boolean"},
    }
    return _object(
        {
            "prompt": _texts(MOST_PROMPTS),
            **{name: _or_null(schema) for name, schema in optional.items()},
            **{name: {} for name in IGNORED_COMPLETION},
            **_plain(PLAIN_COMPLETION),
        },
        ("prompt",),
    )


def translating() -> Schema:
    """A request of translations."""
    optional = {
        "model": TEXT,
        "n": _integer(1, requests.MOST_ANSWERS),
        "beam_size": _integer(1, 64),
        "alpha": {"type": "number", "minimum": 0, "maximum": 5},
    }
    optional = {name: _or_null(schema) for name, schema in optional.items()}
    return _object({"texts": _texts(MOST_TEXTS), **optional}, ("texts",))


# -- what is given -------------------------------------------------------------------


def health() -> Schema:
    return _given(
        ("status", "model", "waiting"), status=_one_of(["ok", "loading"]), model=TEXT,
        waiting={"type": "integer", "minimum": 0},
    )  # fmt: skip


def model() -> Schema:
    return _given(
        ("id", "object", "created", "owned_by"), id=TEXT, object=_one_of(["model"]),
        created={"type": "integer"}, owned_by=TEXT,
        modalities={"type": "array", "items": _one_of(MODALITIES)},
        abilities={"type": "array", "items": _one_of(ABILITIES)},
        step=_or_null({"type": "integer"}),
    )  # fmt: skip


def models() -> Schema:
    data = {"type": "array", "items": model(), "minItems": 1, "maxItems": 1}
    return _given(("object", "data"), object=_one_of(["list"]), data=data)


def completion() -> Schema:
    content = {"anyOf": [TEXT, {"type": "array"}]}
    message = _given(("role", "content"), role=_one_of(["assistant"]), content=content)
    choice = _given(
        ("index", "message", "finish_reason"), index={"type": "integer"},
        message=message, finish_reason=TEXT,
    )  # fmt: skip
    choices = {"type": "array", "items": choice, "minItems": 1}
    return _given(
        ("id", "object", "created", "model", "choices", "usage"), id=TEXT,
        object=_one_of(["chat.completion"]), choices=choices, usage={"type": "object"},
    )  # fmt: skip


def text_completion() -> Schema:
    choice = _given(
        ("index", "text", "finish_reason"), index={"type": "integer"}, text=TEXT,
        finish_reason=TEXT,
    )  # fmt: skip
    choices = {"type": "array", "items": choice, "minItems": 1}
    return _given(
        ("id", "object", "created", "model", "choices", "usage"), id=TEXT,
        object=_one_of(["text_completion"]), choices=choices, usage={"type": "object"},
    )  # fmt: skip


def translations() -> Schema:
    one = _given(
        ("text", "score", "finish_reason"), text=TEXT,
        score=_or_null({"type": "number"}), finish_reason=TEXT,
    )  # fmt: skip
    found = {"type": "array", "items": one, "minItems": 1}
    text = _given(
        ("index", "translations"), index={"type": "integer"}, translations=found
    )
    return _given(
        ("object", "model", "step", "data", "usage"), object=_one_of(["list"]),
        model=TEXT, step=_or_null({"type": "integer"}),
        data={"type": "array", "items": text, "minItems": 1}, usage={"type": "object"},
    )  # fmt: skip


def transcript() -> Schema:
    return _given(("text",), text=TEXT)


def drawings() -> Schema:
    picture = _given(("b64_json",), b64_json=TEXT)
    data = {"type": "array", "items": picture, "minItems": 1}
    return _given(("created", "data", "usage"), data=data, usage={"type": "object"})
