"""Requests, and examinations, behind the stages of `t2t.decode.mitigations`."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from t2t.decode.answering import (
    Answerer,
    Counts,
    Delta,
    Occupancy,
    Reply,
    Writing,
)
from t2t.decode.chat import Chat
from t2t.decode.engine import ChatOptions
from t2t.decode.mitigations import (
    BLOCKED,
    FILTERED,
    Blocked,
    Event,
    Mitigations,
    Screen,
)
from t2t.decode.requests import Request
from t2t.media.layout import VOICES
from t2t.media.messages import Message, Part, Sound, Text

STOPPED = Message("assistant", (Text(BLOCKED),))


class Screened:
    """An `Answerer` behind the stages: an answer that one stops ends by FILTERED."""

    def __init__(self, answerer: Answerer, mitigations: Mitigations) -> None:
        self.answerer, self.mitigations = answerer, mitigations
        self.modalities, self.side = answerer.modalities, answerer.side
        self.abilities, self.together = answerer.abilities, answerer.together
        self.decoding = answerer.decoding
        self.transcript = answerer.transcript

    @property
    def occupancy(self) -> Occupancy:
        """See `Answerer`."""
        return self.answerer.occupancy

    def rehearse(self) -> None:
        """See `Answerer`."""
        self.answerer.rehearse()
        listener = self.mitigations.listener
        if listener is not None:
            listener.hear(np.zeros(listener.frame, np.float32), listener.silence)

    def voice_session(self, mitigations: Mitigations | None = None) -> Any:
        """See `Answerer`; these stages by default."""
        return self.answerer.voice_session(mitigations or self.mitigations)

    def answer(self, request: Request) -> Writing:
        """See `Answerer`."""
        screens = [self.mitigations.screen(request.voice) for _ in range(request.n)]
        if self.mitigations.asked is not None:
            said = self.answerer.transcript(request.messages)
            try:
                for screen in screens:
                    screen.asked(said)
            except Blocked:
                yield from _unasked(request)
                return
        options = self.mitigations.marked(request.options)
        request = dataclasses.replace(request, options=options)
        written = _Written(request, screens)
        for item in self.answerer.answer(request):
            if isinstance(item, Reply):
                yield written.reply(item)
            elif (delta := written.delta(item)) is not None:
                yield delta


class ScreenedChat:
    """A `Chat` behind moderation, as far as an examination asks it.

    stopped: how many answers each stage has stopped, and how many were refused.
    """

    def __init__(self, chat: Chat, mitigations: Mitigations) -> None:
        self.chat, self.problem, self.decoded = chat, chat.problem, chat.decoded
        self.mitigations = dataclasses.replace(mitigations, log=self._count)
        self.stopped: collections.Counter[str] = collections.Counter()

    def answers(
        self,
        conversations: Sequence[Sequence[Message]],
        answers: Sequence[Message],
        options: ChatOptions | None = None,
    ) -> list[list[Part]]:
        """See `Chat`."""
        given = self.chat.answers(conversations, answers, options)
        return [
            self._screened([p for m in messages for p in m.parts], parts)
            for messages, parts in zip(conversations, given, strict=True)
        ]

    def _screened(self, asked: list[Part], parts: list[Part]) -> list[Part]:
        screen = self.mitigations.screen(VOICES[0])
        text = " ".join(p.text for p in parts if isinstance(p, Text))
        try:
            screen.asked(self.chat.transcript(asked))
            screen.wrote(text)
            screen.done(text)
        except Blocked:
            return list(STOPPED.parts)
        return parts

    def _count(self, event: Event) -> None:
        if event.action != "passed":
            self.stopped[event.stage] += 1


class _Written:
    """The answers to one request as they come, each before its screen."""

    def __init__(self, request: Request, screens: list[Screen]) -> None:
        self.request, self.screens = request, screens
        self.texts, self.told = [""] * request.n, [""] * request.n
        self.stopped: set[int] = set()

    def delta(self, item: Delta) -> Delta | None:
        """What of it may be told."""
        number = item.number
        if number in self.stopped:
            return None
        self.texts[number] += item.text
        # Words come before speech and pictures.
        whole = item.samples is not None or item.picture is not None
        whole = whole or bool(item.finish)
        try:
            told = self.screens[number].wrote(self.texts[number], whole=whole)
            if item.samples is not None:
                self.screens[number].said(item.samples)
        except Blocked:
            self.stopped.add(number)
            return _instead(self.request, number)
        new, self.told[number] = told[len(self.told[number]) :], told
        return dataclasses.replace(item, text=new)

    def reply(self, reply: Reply) -> Reply:
        """The whole of it; what streamed has passed its screen already."""
        for number, message in enumerate(reply.messages):
            if number not in self.stopped:
                try:
                    self._whole(self.screens[number], message)
                except Blocked:
                    self.stopped.add(number)
        messages, finishes = list(reply.messages), list(reply.finishes)
        for number in self.stopped:
            messages[number], finishes[number] = STOPPED, FILTERED
        return dataclasses.replace(
            reply, messages=tuple(messages), finishes=tuple(finishes)
        )

    def _whole(self, screen: Screen, message: Message) -> None:
        text = "".join(p.text for p in message.parts if isinstance(p, Text))
        if not self.request.stream:
            screen.wrote(text)
            for part in message.parts:
                if isinstance(part, Sound):
                    screen.said(part.samples)
        screen.done(text)


def _unasked(request: Request) -> Writing:
    """What is answered where the network is not even asked."""
    yield from (_instead(request, number) for number in range(request.n))
    each = request.n
    yield Reply((STOPPED,) * each, (FILTERED,) * each, Counts(), Counts())


def _instead(request: Request, number: int) -> Delta:
    return Delta(number, text=BLOCKED if request.stream else "", finish=FILTERED)
