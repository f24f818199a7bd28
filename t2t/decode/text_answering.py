"""Answers of runs that take a text and give one, many of them written together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from t2t.decode.answering import LOST, Counts, Delta, Occupancy, Reply, Writing
from t2t.decode.batching import Batcher, Ticket
from t2t.decode.decoder import DecodeError, Decoder, Output, bucket, sample_seed
from t2t.decode.fields import RequestError
from t2t.decode.options import DecodeOptions
from t2t.decode.requests import Request
from t2t.decode.slots import Prompt, Shape, Slots
from t2t.decode.voice import VoiceSession
from t2t.features import EOS
from t2t.media.messages import Message, Text, kind_of


class TextAnswerer:
    """Any run that takes text and gives text: the last message is its input.

    Models that write token by token do so in rows of two batches, one for beams and one
    for what has a single hypothesis; any number of answers may be in the making.

    Args:
      options: of what is asked without any; their `beam_size` is that of all beams.
      rows: of each batch.
    """

    modalities = ("text",)
    side = 0

    def __init__(
        self, decoder: Decoder, *, options: DecodeOptions | None = None, rows: int = 8
    ) -> None:
        prompt = getattr(decoder.model, "PROMPT", "inputs")
        if prompt not in decoder.features or decoder.features[prompt].kind != "text":
            raise DecodeError(f"{decoder.model.name} takes no text to answer")
        self.decoder, self.decoding = decoder, options or DecodeOptions()
        self.together = hasattr(decoder.model, "decode_step")
        self._batchers: dict[int, Batcher] = {}
        if self.together:
            longest = decoder.max_length
            length = bucket(longest) + self.decoding.extra_length
            for width in sorted({1, self.decoding.beam_size}):
                slots = Slots(decoder.model, Shape(width, longest, length), rows=rows)
                self._batchers[width] = Batcher(slots)

    @property
    def continues(self) -> bool:
        """Whether its outputs go on from its inputs."""
        return self.together and self.decoder.model.PROMPT == "targets"

    @property
    def abilities(self) -> tuple[str, ...]:
        """See `Answerer`."""
        more = {"complete": self.continues, "translate": self.decoder.translates}
        return ("chat", *(name for name, here in more.items() if here))

    @property
    def occupancy(self) -> Occupancy:
        """See `Answerer`."""
        found = Occupancy()
        for batcher in self._batchers.values():
            rows = batcher.rows
            assert isinstance(rows, Slots)
            found += Occupancy(batcher.taken, rows.rows, batcher.waiting, batcher.steps)
        return found

    def rehearse(self) -> None:
        """See `Answerer`; the beginnings of the shortest and the longest inputs: those
        of other lengths are compiled when they come."""
        for batcher in self._batchers.values():
            assert isinstance(batcher.rows, Slots)
            batcher.rows.rehearse((16, self.decoder.max_length))
        if not self.together:
            list(self.answer(Request((Message("user", (Text(""),)),))))

    def transcript(self, messages: Sequence[Message]) -> str:
        """See `Answerer`."""
        parts = [p for m in messages if m.role == "user" for p in m.parts]
        return " ".join(p.text for p in parts if isinstance(p, Text))

    def voice_session(self, mitigations: Any = None) -> VoiceSession:
        """See `Answerer`."""
        name = self.decoder.model.name
        raise RequestError(f"{name} answers in text only", code="no_voice")

    # -- answers -------------------------------------------------------------------

    def answer(self, request: Request) -> Writing:
        """See `Answerer`."""
        text = self._text(request)
        options = request.decoding or self._options(request)
        if self.together:
            writing = self._written(request, text, options)
        else:
            writing = self._told(request, text, options)
        outputs = yield from writing
        messages = tuple(Message("assistant", (Text(o.text),)) for o, _ in outputs)
        answered = sum(self._count(o.text, "targets") for o, _ in outputs)
        yield Reply(
            messages,
            tuple(finish for _, finish in outputs),
            Counts(text=self._count(text, self.decoder.model.PROMPT)),
            Counts(text=answered),
            tuple(output.score for output, _ in outputs),
        )

    def _told(self, request: Request, text: str, options: DecodeOptions) -> Any:
        """By a model that answers at once."""
        try:
            (found,) = self.decoder.outputs([text], options)
        except DecodeError as error:
            raise RequestError(str(error), param="messages") from None
        for number, output in enumerate(found):
            told = output.text if request.stream else ""
            yield Delta(number, text=told, finish="stop")
        return [(output, "stop") for output in found]

    def _written(self, request: Request, text: str, options: DecodeOptions) -> Any:
        """By rows: (output, why it ended) of each, after deltas of them all."""
        if not text.strip():  # as the decoder has it
            yield from (Delta(number, finish="stop") for number in range(request.n))
            return [(Output("", 0.0), "stop")] * request.n
        batcher, tickets = self._submit(request, self._ids(text), options)
        steady = options.sampling or (options.beam_size == 1 and options.alpha == 0)
        try:
            answers = [_Answer(self, request, t, final=not steady) for t in tickets]
            yield from _until_done(batcher, tickets, answers)
        finally:
            for ticket in tickets:
                batcher.leave(ticket)
        if steady:
            return [answer.ended for answer in answers]
        longest = self._longest(tickets[0].prompt.ids)
        return (yield from self._best(request, tickets[0], longest=longest))

    def _best(self, request: Request, ticket: Ticket, *, longest: int) -> Any:
        """The best outputs of a beam, told when all is decided."""
        found = []
        for number, (tokens, score) in enumerate(ticket.look().outputs or ()):
            text, finish = self._cut(self.decoded(tokens[:longest]), request)
            yield Delta(number, text=text if request.stream else "", finish=finish)
            found.append((Output(text, score), finish))
        return found

    def _submit(
        self, request: Request, ids: list[int], options: DecodeOptions
    ) -> tuple[Batcher, list[Ticket]]:
        width = 1 if options.sampling else options.beam_size
        if width not in self._batchers or (not options.sampling and request.n > width):
            raise RequestError(
                f"{request.n} outputs of a beam of {width}: there are beams of "
                f"{' and '.join(map(str, self._batchers))} here",
                param="n",
            )
        longest = self._longest(ids)
        if options.sampling:
            most = min(longest, request.most_tokens or longest)
            prompts = [
                Prompt(
                    tuple(ids), most, sampling=True,
                    seed=sample_seed(options.seed, 0, copy),
                    temperature=options.temperature, keep_k=options.top_k,
                    keep_p=options.top_p, min_p=options.min_p,
                )
                for copy in range(request.n)
            ]  # fmt: skip
        else:
            # What may come of a search depends on the longest that it looks for.
            size = bucket(len(ids)) + self.decoding.extra_length
            steady = width == 1 and options.alpha == 0
            most = min(longest, request.most_tokens or longest) if steady else size
            prompts = [Prompt(tuple(ids), most, alpha=options.alpha, best=request.n)]
        batcher = self._batchers[width]
        return batcher, [batcher.submit(p, request.client) for p in prompts]

    def _longest(self, ids: Sequence[int]) -> int:
        """Most tokens of an output, as the decoder has it."""
        return len(ids) + self.decoding.extra_length

    def _ids(self, text: str) -> list[int]:
        """
        Raises:
          RequestError: for a text that has no ids, or too many.
        """
        try:
            ids = self.decoder.encode(text)
        except ValueError as error:
            raise RequestError(str(error), param="messages") from None
        if len(ids) > self.decoder.max_length:
            raise RequestError(
                f"the text has {len(ids)} tokens: at most {self.decoder.max_length} "
                "are read",
                param="messages",
                code="context_length_exceeded",
            )
        return ids

    def decoded(self, tokens: list[int]) -> str:
        """The text of an output."""
        vocabulary = self._vocabulary("targets")
        return vocabulary.decode(tokens)

    def _text(self, request: Request) -> str:
        if request.modalities != ("text",):
            raise RequestError(
                f"{self.decoder.model.name} answers in text only", param="modalities"
            )
        last = len(request.messages) - 1
        texts = []
        for part in request.messages[last].parts:
            if not isinstance(part, Text):
                raise RequestError(
                    f"{self.decoder.model.name} reads no {kind_of(part)}, only text",
                    param=f"messages[{last}].content",
                )
            texts.append(part.text)
        text = " ".join(texts)
        return text if self.continues else " ".join(text.splitlines())

    def _options(self, request: Request) -> DecodeOptions:
        if request.temperature:
            return DecodeOptions(
                sampling=True, temperature=request.temperature,
                seed=request.options.seed, num_samples=request.n,
            )  # fmt: skip
        return self.decoding

    def _cut(self, text: str, request: Request) -> tuple[str, str]:
        """(at most so many tokens of a text, why it ends)."""
        text, stopped = before(text, request.stop)
        vocabulary, most = self._vocabulary("targets"), request.most_tokens
        if most is None or vocabulary is None or stopped:
            return text, "stop"
        ids = vocabulary.encode(text)
        if len(ids) <= most:
            return text, "stop"
        return vocabulary.decode(ids[:most]), "length"

    def _count(self, text: str, feature: str) -> int:
        vocabulary = self._vocabulary(feature)
        return len(vocabulary.encode(text)) if vocabulary is not None else 1

    def _vocabulary(self, feature: str) -> Any:
        found = self.decoder.features.get(feature)
        return found.vocabulary if found is not None else None


class _Answer:
    """One output as it is written.

    Args:
      final: nothing is told before all is decided, as of beams.
    """

    def __init__(
        self, answerer: TextAnswerer, request: Request, ticket: Ticket, *, final: bool
    ) -> None:
        self.answerer, self.request, self.ticket = answerer, request, ticket
        self.final, self.told = final, ""
        self.ended: tuple[Output, str] | None = None

    def news(self) -> Delta | None:
        """What is new of it, without its number."""
        written = self.ticket.look()
        if self.final or self.ended is not None:
            return None
        text, stopped = before(self.answerer.decoded(written.tokens), self.request.stop)
        done = self.ticket.done or stopped
        if done:
            score = written.outputs[0][1] if written.outputs else 0.0
            cut = not stopped and EOS not in written.tokens
            self.ended = (Output(text, score), "length" if cut else "stop")
        else:
            text = _sure(text, self.request.stop)
        new = text[len(self.told) :] if text.startswith(self.told) else ""
        self.told += new
        finish = self.ended[1] if self.ended else ""
        return Delta(text=new if self.request.stream else "", finish=finish)


def _until_done(
    batcher: Batcher, tickets: list[Ticket], answers: list[_Answer]
) -> Iterator[Delta]:
    """Deltas, one at least for each time that all rows move on."""
    pending = dict(enumerate(zip(tickets, answers, strict=True)))
    while pending:
        if not any(ticket.news for ticket, _ in pending.values()):
            batcher.advance()
        for number, (ticket, answer) in list(pending.items()):
            if ticket.news and (delta := answer.news()):
                yield dataclasses.replace(delta, number=number)
            # It may have been done while its delta was sent.
            if answer.ended or (ticket.done and not ticket.news):
                batcher.leave(ticket)
                del pending[number]
        yield Delta()


def before(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """A text up to the first of some others, and whether there was one."""
    places = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _sure(text: str, stops: Sequence[str]) -> str:
    """What will not be taken back: no half character, no beginning of a stop."""
    text = text.rstrip(LOST)
    for size in range(max(map(len, stops), default=0) - 1, 0, -1):
        if any(len(stop) > size and text.endswith(stop[:size]) for stop in stops):
            return text[:-size]
    return text
