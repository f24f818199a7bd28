"""A few conversations to look at and to listen to."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from t2t.decode.chat import Chat
from t2t.media.audio import encode_wav
from t2t.media.messages import RATE, Film, Message, Picture, Sound, Text
from t2t.media.pictures import encode_png
from t2t.media.video import encode_gif
from t2t.run.problems import make_examination

FILM_RATE = 5.0  # frames a second


@dataclasses.dataclass(frozen=True)
class Shown:
    """A part of a conversation: its words, or a file and its media type."""

    text: str = ""
    name: str = ""
    data: bytes = b""
    kind: str = ""


def samples(chat: Chat, data_dir: Path) -> list[list[tuple[str, list[Shown]]]]:
    """[(role, parts), …] of each: one question of every cell of the matrix."""
    problem = make_examination("omni_matrix", 1)
    found = []
    asked = problem.turns(tmp_dir=data_dir / "tmp")
    for number, (_, turn) in enumerate(asked):
        wanted = turn[-1]
        heard = chat.problem.heard(turn[:-1])
        answer = chat.chat(heard, wanted.modalities, voice=wanted.voice or "alto")
        found.append(
            [
                (message.role, _shown(message, f"{number:02d}-{i}"))
                for i, message in enumerate((*heard, answer))
            ]
        )
    return found


def _shown(message: Message, name: str) -> list[Shown]:
    return [_part(part, f"{name}-{i}") for i, part in enumerate(message.parts)]


def _part(part: Any, name: str) -> Shown:
    if isinstance(part, Text):
        return Shown(text=part.text)
    if isinstance(part, Sound):
        return Shown("", f"{name}.wav", encode_wav(part.samples, RATE), "audio/wav")
    if isinstance(part, Picture):
        return Shown("", f"{name}.png", encode_png(part.pixels), "image/png")
    if isinstance(part, Film):
        return Shown("", f"{name}.gif", encode_gif(part.frames, FILM_RATE), "image/gif")
    raise TypeError(type(part))
