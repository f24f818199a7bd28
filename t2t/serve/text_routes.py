"""The routes that only runs over texts have: completions, and translations."""

from __future__ import annotations

import dataclasses
import secrets
import time
from typing import Any

from fastapi import Request, Response

from t2t.config import ConfigError
from t2t.decode import requests
from t2t.decode.answering import Delta, Reply
from t2t.decode.engine import ChatOptions
from t2t.decode.fields import REQUIRED, Fields, RequestError, read_json
from t2t.decode.options import DecodeOptions
from t2t.decode.responses import usage_json
from t2t.media.messages import Message, Text
from t2t.serve import openapi
from t2t.serve.openapi import (
    IGNORED_COMPLETION,
    MOST_PROMPTS,
    MOST_STOPS,
    MOST_TEXTS,
    PLAIN_COMPLETION,
)
from t2t.serve.replies import Events, json_response, while_there
from t2t.serve.service import Place, Service

Asked = requests.Request


class TextRoutes:
    """What each does."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def described(self) -> dict[str, Any]:
        """See `Routes.described`."""
        told, json = openapi.described, openapi.json
        written = {**json(openapi.text_completion()), "text/event-stream": openapi.TEXT}
        return {
            "/v1/completions": (
                self.completions, told(written, body=json(openapi.continuing())),
            ),
            "/v1/translate": (
                self.translate,
                told(json(openapi.translations()), body=json(openapi.translating())),
            ),
        }  # fmt: skip

    async def completions(self, request: Request) -> Response:
        """What a language model goes on with, whole or as a stream."""
        place = self.service.admit()
        try:
            fields = Fields(read_json(await request.body()))
            self._check_able("complete", "completes no texts")
            fields.only(COMPLETION, ignored=(*IGNORED_COMPLETION, *PLAIN_COMPLETION))
            fields.refuse(PLAIN_COMPLETION)
            prompts = _strings(fields, "prompt", MOST_PROMPTS)
            how = _continued(fields)
            asked = [self._asked(fields, prompt, how) for prompt in prompts]
            form = _Completion(
                asked[0].model, prompts, echo=fields.boolean("echo", False)
            )
            if asked[0].stream:
                if len(prompts) > 1:
                    raise fields.wrong("prompt", "one prompt is streamed at a time")
                return await self._stream(request, asked[0], form, place)
            replies = await self._replies(request, asked)
            place.free()
            return json_response(form.whole(replies))
        except BaseException:
            place.free()
            raise

    async def translate(self, request: Request) -> Response:
        """The best outputs of each of some texts."""
        with self.service.admit():
            fields = Fields(read_json(await request.body()))
            self._check_able("translate", "translates no texts")
            fields.only(("model", "texts", "n", "beam_size", "alpha"))
            texts = _strings(fields, "texts", MOST_TEXTS)
            count = fields.integer("n", 1, low=1, high=requests.MOST_ANSWERS)
            given: dict[str, Any] = {}
            if "beam_size" in fields:
                given["beam_size"] = fields.integer("beam_size", low=1, high=64)
            if "alpha" in fields:
                given["alpha"] = fields.number("alpha", low=0.0, high=5.0)
            usual = self.service.answerer.decoding or DecodeOptions()
            how = {"n": count, "decoding": dataclasses.replace(usual, **given)}
            asked = [self._asked(fields, text, how) for text in texts]
            step = self.service.step
            replies = await self._replies(request, asked)
        data = [
            {"index": index, "translations": list(map(_translation, *_columns(reply)))}
            for index, reply in enumerate(replies)
        ]
        head = {"object": "list", "model": self.service.name, "step": step}
        return json_response({**head, "data": data, "usage": _usage(replies)})

    # -- what they share -----------------------------------------------------------

    def _check_able(self, ability: str, why: str) -> None:
        able = self.service.answerer.abilities
        if ability not in able:
            routes = {
                "chat": "/v1/chat/completions", "complete": "/v1/completions",
                "translate": "/v1/translate",
            }  # fmt: skip
            raise RequestError(
                f"{self.service.name} {why}: {', '.join(routes[a] for a in able)} "
                "is answered",
                code="unsupported_route",
            )

    def _asked(self, fields: Fields, text: str, how: dict[str, Any]) -> Asked:
        """A request of one text, checked."""
        messages = (Message("user", (Text(text),) if text else ()),)
        asked = Asked(messages, model=fields.text("model", ""), **how)
        return self.service.checked(asked)

    async def _replies(self, request: Request, asked: list[Asked]) -> list[Reply]:
        """All of them, while the client is there."""
        works = [self.service.submit(_client(request), one) for one in asked]

        async def replies() -> list[Reply]:
            return [await work.last() for work in works]

        try:
            return await while_there(replies(), works[0], request.receive)
        finally:
            for work in works:
                work.cancel()

    async def _stream(
        self, request: Request, asked: Asked, form: _Completion, place: Place
    ) -> Response:
        work = self.service.submit(_client(request), asked)
        items = aiter(work)

        def tell(item: Any) -> list[Any]:
            if isinstance(item, Delta):
                return form.part(item)
            return [form.usage([item])] if asked.counted else []

        # A request that turns out to be wrong still has a status of its own.
        item = await while_there(anext(items), work, request.receive)
        return Events(
            work, tell, first=[*form.first(asked.n), *tell(item)], items=items,
            place=place, stalled=self.service.options.stalled,
        )  # fmt: skip


COMPLETION = (
    "model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "min_p", "n",
    "seed", "stop", "stream", "stream_options", "echo",
)  # fmt: skip


def _continued(fields: Fields) -> dict[str, Any]:
    """How a text is to go on: fields of a request."""
    temperature = fields.number("temperature", 0.0, low=0.0, high=2.0)
    seed = fields.integer("seed", 0, low=-(2**63), high=2**63 - 1) % 2**32
    count = fields.integer("n", 1, low=1, high=requests.MOST_ANSWERS)
    options = DecodeOptions(beam_size=1, alpha=0.0)
    kept = {
        "top_p": fields.number("top_p", 1.0, low=0.0, high=1.0),
        "top_k": fields.integer("top_k", 0, low=0, high=2**31 - 1),
        "min_p": fields.number("min_p", 0.0, low=0.0, high=1.0),
    }
    if temperature:
        try:
            options = DecodeOptions(
                sampling=True, temperature=temperature, seed=seed, num_samples=count,
                **kept,
            )  # fmt: skip
        except ConfigError as error:
            raise RequestError(str(error)) from None
    elif count > 1:
        raise fields.wrong("n", "without a temperature all would be the same")
    counted = False
    if "stream_options" in fields:
        stream = fields.object("stream_options")
        stream.only(("include_usage",), ignored=("include_obfuscation",))
        counted = stream.boolean("include_usage", False)
    return {
        "n": count, "decoding": options, "options": ChatOptions(seed=seed),
        "most_tokens": fields.integer("max_tokens", None, low=1, high=2**31 - 1),
        "stop": tuple(_strings(fields, "stop", MOST_STOPS)) if "stop" in fields else (),
        "stream": fields.boolean("stream", False), "counted": counted,
    }  # fmt: skip


def _strings(fields: Fields, name: str, most: int) -> list[str]:
    """A string, or an array of some.

    Raises:
      RequestError: for anything else, for none and for too many characters.
    """
    given = fields.get(name, (str, list), REQUIRED, "a string or an array of strings")
    values = [given] if isinstance(given, str) else given
    if not 1 <= len(values) <= most:
        raise fields.wrong(name, f"1 to {most} strings are read")
    inner = Fields(
        {f"[{i}]": value for i, value in enumerate(values)}, fields.path(name)
    )
    found = [inner.text(f"[{i}]") for i in range(len(values))]
    if sum(map(len, found)) > requests.MOST_TEXT:
        raise RequestError(
            f"{sum(map(len, found)):,} characters: at most {requests.MOST_TEXT:,} are "
            "read",
            param=fields.path(name),
            code="context_length_exceeded",
        )
    return found


class _Completion:
    """OpenAI's form of completions, whole or as chunks."""

    def __init__(self, model: str, prompts: list[str], *, echo: bool) -> None:
        self.prompts, self.echo = prompts, echo
        self.head = {
            "id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion",
            "created": int(time.time()), "model": model,
        }  # fmt: skip

    def whole(self, replies: list[Reply]) -> dict[str, Any]:
        choices = []
        for prompt, reply in zip(self.prompts, replies, strict=True):
            for text, finish, _ in zip(*_columns(reply), strict=True):
                told = prompt + text if self.echo else text
                choices.append(self._choice(len(choices), told, finish))
        return {**self.head, "choices": choices, "usage": _usage(replies)}

    def first(self, count: int) -> list[dict[str, Any]]:
        if not self.echo:
            return []
        choices = [self._choice(i, self.prompts[0], None) for i in range(count)]
        return [{**self.head, "choices": [choice]} for choice in choices]

    def part(self, delta: Delta) -> list[dict[str, Any]]:
        """Chunks of a delta, if it brought anything."""
        if not delta.text and not delta.finish:
            return []
        choice = self._choice(delta.number, delta.text, delta.finish or None)
        return [{**self.head, "choices": [choice]}]

    def usage(self, replies: list[Reply]) -> dict[str, Any]:
        return {**self.head, "choices": [], "usage": _usage(replies)}

    def _choice(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        return {
            "index": index, "text": text, "finish_reason": finish, "logprobs": None,
        }  # fmt: skip


def _columns(reply: Reply) -> tuple[list[str], tuple[str, ...], list[float | None]]:
    """Texts, why they ended, and scores: None where a stage stopped them."""
    texts = [
        "".join(p.text for p in m.parts if isinstance(p, Text)) for m in reply.messages
    ]
    scores: list[float | None] = [*reply.scores] or [None] * len(texts)
    return texts, reply.finishes, scores


def _translation(text: str, finish: str, score: float | None) -> dict[str, Any]:
    return {"text": text, "score": score, "finish_reason": finish}


def _usage(replies: list[Reply]) -> dict[str, Any]:
    asked, answered = replies[0].asked, replies[0].answered
    for reply in replies[1:]:
        asked, answered = asked + reply.asked, answered + reply.answered
    return usage_json(asked, answered)


def _client(request: Request) -> str:
    """Whose turn it takes."""
    return request.client.host if request.client else ""
