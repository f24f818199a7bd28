"""The routes over HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from importlib import resources
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from t2t import registry
from t2t.decode import requests
from t2t.decode.answering import Reply
from t2t.decode.chat import WRITE_DOWN
from t2t.decode.fields import Fields, RequestError, read_json, shown
from t2t.decode.mitigations import FILTERED
from t2t.decode.references import References
from t2t.decode.responses import Chunks, drawn, encoded, reply_json, usage_json
from t2t.media.layout import VOICES
from t2t.media.messages import Message, Picture, Sound, Text
from t2t.serve import openapi, realtime
from t2t.serve.gate import Gate
from t2t.serve.metrics import TYPE
from t2t.serve.openapi import MOST_INPUT, PLAIN_DRAWING, PLAIN_SPEECH, SPOKEN, WRITTEN
from t2t.serve.replies import (
    Events,
    Gone,
    error_response,
    json_response,
    reply_of,
    while_there,
)
from t2t.serve.service import Service
from t2t.serve.text_routes import TextRoutes

SAY, DRAW = "say {}", "draw {}"  # as the model learned them
PAGES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/sound.js": ("sound.js", "text/javascript"),
    "/recorder.js": ("recorder.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


def app(service: Service) -> Gate:
    """All of the server, as ASGI."""
    api = FastAPI(title="t2t-serve", docs_url=None, redoc_url=None)
    routes = Routes(service)
    for path, (name, kind) in PAGES.items():
        api.add_api_route(path, _page(name, kind), include_in_schema=False)
    for path, (endpoint, about) in routes.described().items():
        api.add_api_route(
            path, endpoint, methods=["POST" if "requestBody" in about else "GET"],
            response_class=Response, openapi_extra=about,
        )  # fmt: skip
    api.add_api_websocket_route("/v1/realtime", routes.realtime)
    api.add_exception_handler(RequestError, routes.refused)
    api.add_exception_handler(HTTPException, routes.not_found)
    for left in (Gone, ClientDisconnect):
        api.add_exception_handler(left, routes.gone)
    api.add_exception_handler(Exception, routes.failed)
    return Gate(api, service)


def _page(name: str, kind: str) -> Any:
    content = resources.files("t2t.serve").joinpath("page", name).read_bytes()

    async def page() -> Response:
        return Response(content, media_type=kind)

    return page


class Routes:
    """What each route does."""

    def __init__(self, service: Service) -> None:
        self.service, self.texts = service, TextRoutes(service)

    def described(self) -> dict[str, Any]:
        """By its path, what answers there and what it takes and gives."""
        told, json = openapi.described, openapi.json
        health = json(openapi.health())
        written = {**json(openapi.transcript()), "text/plain": openapi.TEXT}
        spoken = {kind: {} for kind in SPOKEN.values()}
        answered = {**json(openapi.completion()), "text/event-stream": openapi.TEXT}
        form = {"multipart/form-data": openapi.transcription()}
        drawing = told(json(openapi.drawings()), body=json(openapi.drawing()))
        return {
            "/healthz": (self.health, told(health)),
            "/metrics": (self.metrics, told({"text/plain": openapi.TEXT})),
            "/v1/models": (self.models, told(json(openapi.models()))),
            "/v1/models/{model}": (self.model, told(json(openapi.model()))),
            "/v1/chat/completions": (
                self.chat, told(answered, body=json(openapi.chat())),
            ),
            "/v1/audio/speech": (
                self.speech, told(spoken, body=json(openapi.speech())),
            ),
            "/v1/audio/transcriptions": (
                self.transcriptions, told(written, body=form),
            ),
            "/v1/images/generations": (self.images, drawing),
            **self.texts.described(),
        }  # fmt: skip

    # -- what is here --------------------------------------------------------------

    async def health(self) -> Response:
        """200 when it answers, 503 while it is being loaded."""
        service = self.service
        status = "loading" if service.loading else "ok"
        found = {
            "status": status, "model": service.name, "waiting": service.worker.waiting,
        }  # fmt: skip
        return json_response(found, status=503 if service.loading else 200)

    async def metrics(self) -> Response:
        """In Prometheus's form."""
        return Response(self.service.metrics.text(), media_type=TYPE)

    async def models(self) -> Response:
        """The one model."""
        return json_response({"object": "list", "data": [self._model()]})

    async def model(self, model: str) -> Response:
        """It, by its name."""
        self.service.check_model(model)
        return json_response(self._model())

    def _model(self) -> dict[str, Any]:
        service = self.service
        found = {
            "id": service.name, "object": "model", "created": service.started,
            "owned_by": "t2t",
        }  # fmt: skip
        if not service.loading:
            found["modalities"] = list(service.answerer.modalities)
            found["abilities"] = list(service.answerer.abilities)
            found["step"] = service.step
        return found

    # -- answers -------------------------------------------------------------------

    async def chat(self, request: Request) -> Response:
        """Chat completions, whole or as a stream."""
        place = self.service.admit()
        try:
            body = read_json(await request.body())
            asked = await asyncio.to_thread(self.service.parse, body)
            if asked.stream:
                return await self._stream(request, asked, place)
            reply = await self._reply(request, asked)
            made = await asyncio.to_thread(reply_json, reply, asked)
            place.free()
            return json_response(made)
        except BaseException:
            place.free()
            raise

    async def _stream(
        self, request: Request, asked: requests.Request, place: Any
    ) -> Response:
        work = self.service.submit(_lane(request), asked)
        items = aiter(work)
        chunks = Chunks(asked)

        def tell(item: Any) -> list[Any]:
            return chunks.last(item) if isinstance(item, Reply) else chunks.of(item)

        # A request that turns out to be wrong still has a status of its own.
        item = await while_there(anext(items), work, request.receive)
        first = [*chunks.first(), *tell(item)]
        return Events(
            work, tell, first=first, items=items, place=place,
            stalled=self.service.options.stalled,
        )  # fmt: skip

    async def speech(self, request: Request) -> Response:
        """A text spoken, as a file."""
        with self.service.admit():
            fields = Fields(read_json(await request.body()))
            fields.only(
                ("model", "input", "voice", "response_format"),
                ignored=PLAIN_SPEECH,
            )
            fields.refuse(PLAIN_SPEECH)
            text = _short(fields, "input")
            voice = fields.text("voice", VOICES[0], among=VOICES)
            format = fields.text("response_format", "mp3", among=tuple(SPOKEN))
            asked = requests.Request(
                _asking(Text(SAY.format(text))), ("text", "audio"), voice,
                model=fields.text("model", ""),
            )  # fmt: skip
            asked = self.service.checked(asked)
            reply = await self._answer(request, asked)
            (sound,) = _parts(reply, Sound)
            data = await asyncio.to_thread(encoded, sound.samples, format, asked)
        return Response(data, media_type=SPOKEN[format])

    async def transcriptions(self, request: Request) -> Response:
        """What is said in a file, as text."""
        with self.service.admit():
            form = await request.form(max_files=1, max_fields=20)
            file = form.get("file")
            fields = Fields({k: v for k, v in form.items() if k != "file"})
            fields.only(
                ("model", "response_format"),
                ignored=(
                    "chunking_strategy", "include[]", "language", "prompt", "stream",
                    "temperature", "timestamp_granularities[]",
                ),
            )  # fmt: skip
            fields.refuse({"stream": ("false", "False"), "prompt": ("",)})
            format = fields.text("response_format", "json", among=WRITTEN)
            if not isinstance(file, UploadFile):
                raise RequestError("no file: a sound is expected", param="file")
            sound = await self._sound(await file.read())
            asked = requests.Request(
                _asking(Text(WRITE_DOWN), sound), model=fields.text("model", "")
            )
            reply = await self._answer(request, self.service.checked(asked))
        text = "".join(part.text for part in _parts(reply, Text))
        if format == "text":
            return Response(text + "\n", media_type="text/plain; charset=utf-8")
        found: dict[str, Any] = {"text": text}
        if format == "verbose_json":
            seconds = len(sound.samples) / 16_000
            found |= {"task": "transcribe", "language": "english", "duration": seconds}
            found["segments"] = []
        return json_response(found)

    async def _sound(self, data: bytes) -> Sound:
        options = self.service.options
        reader = References(options.access, options.limits)
        (sound,) = await asyncio.to_thread(reader.heard, data, "file")
        return sound

    async def images(self, request: Request) -> Response:
        """Pictures of a text, as base64 of PNG."""
        with self.service.admit():
            fields = Fields(read_json(await request.body()))
            known = ("model", "prompt", "n", "size", "response_format", "output_format")
            fields.only(known, ignored=("user", *PLAIN_DRAWING))
            fields.refuse(PLAIN_DRAWING)
            fields.text("response_format", "b64_json", among=("b64_json",))
            fields.text("output_format", "png", among=("png",))
            side = self.service.answerer.side
            fields.text("size", "auto", among=("auto", f"{side}x{side}"))
            text = _short(fields, "prompt")
            asked = requests.Request(
                _asking(Text(text if text.startswith("draw ") else DRAW.format(text))),
                ("image",),
                n=fields.integer("n", 1, low=1, high=requests.MOST_ANSWERS),
                model=fields.text("model", ""),
            )
            asked = self.service.checked(asked)
            reply = await self._answer(request, asked)
        data = [{"b64_json": drawn(p, asked)} for p in _parts(reply, Picture)]
        usage = usage_json(reply.asked, reply.answered)
        renamed = {
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "total_tokens": usage["total_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
        }
        return json_response(
            {"created": int(time.time()), "data": data, "usage": renamed}
        )

    async def _answer(self, request: Request, asked: requests.Request) -> Reply:
        """As `_reply`, where nothing but what was asked for will do.

        Raises:
          RequestError: also when a stage has stopped the answer.
        """
        reply = await self._reply(request, asked)
        if FILTERED in reply.finishes:
            raise RequestError("the answer was stopped", code=FILTERED)
        return reply

    async def _reply(self, request: Request, asked: requests.Request) -> Reply:
        lacking = set(asked.modalities) - set(self.service.answerer.modalities)
        if lacking:
            raise RequestError(
                f"{self.service.name} answers in "
                f"{', '.join(self.service.answerer.modalities)} only",
                param="modalities",
            )
        whole = dataclasses.replace(asked, stream=False)
        return await reply_of(self.service.submit(_lane(request), whole), request)

    async def realtime(self, socket: WebSocket) -> None:
        """A voice session."""
        await realtime.serve(socket, self.service)

    # -- errors --------------------------------------------------------------------

    async def refused(self, request: Request, error: Any) -> Response:
        """A request that is refused."""
        return error_response(error, retry_after=self.service.retry_after)

    async def not_found(self, request: Request, error: Any) -> Response:
        """Routes that there are none of, wrong methods, forms that are none."""
        message = str(error.detail)
        if error.status_code == 404:
            known = [*PAGES, "/healthz", *ROUTES]
            path = request.url.path[:80]
            hint = registry.close_to(path, known)
            message = f"there is no {shown(path)}.{hint}"
        elif error.status_code == 405:
            message = f"{request.method} is not what this route takes"
        refused = RequestError(message, code="not_found", status=error.status_code)
        return await self.refused(request, refused)

    async def gone(self, request: Request, error: Any) -> Response:
        """Nobody reads this."""
        return Response(status_code=499)

    async def failed(self, request: Request, error: Any) -> Response:
        """A fault of ours; what it is stands in the log."""
        fault = RequestError("the server failed", code="failed", status=500)
        return await self.refused(request, fault)


ROUTES = (
    "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions",
    "/v1/translate", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/realtime",
    "/v1/images/generations",
)  # fmt: skip


def _lane(request: Request) -> str:
    """One for each client."""
    return request.client.host if request.client else ""


def _asking(*parts: Any) -> tuple[Message, ...]:
    return (Message("user", parts),)


def _parts(reply: Reply, kind: type) -> list[Any]:
    return [p for m in reply.messages for p in m.parts if isinstance(p, kind)]


def _short(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not text.strip() or len(text) > MOST_INPUT:
        raise fields.wrong(name, f"1 to {MOST_INPUT} characters are expected")
    return text
