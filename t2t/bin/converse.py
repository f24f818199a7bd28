"""What `t2t-decoder` does with an omni run: it answers requests, or talks.

A file holds a request a line, in OpenAI's form of chat completions, and line N of the
output is the response to line N. To talk, write a line; @FILE shows or plays a file,
'aloud' or /speak asks for speech (/speak:bass in a voice), 'draw' or /draw for a
picture, which are written beside. Each line is a conversation of its own.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from t2t import registry
from t2t.bin.command import UsageError, load_tensorflow

NOT_HERE = ("score_file", "split", "problem", "video")
FILE = re.compile(r'@(?:"([^"]+)"|(\S+))')
COMMAND = re.compile(r"(?<!\S)/(\S*)")
# How answers are drawn: arguments of `ChatOptions`.
DRAWN = (
    "temperature", "audio_temperature", "picture_temperature", "picture_guidance",
    "seed",
)  # fmt: skip
POINTS = ",.;:!?)"


def check(flags: dict[str, Any], *, run: str) -> None:
    """
    Raises:
      UsageError: for a flag that is about other runs, or that says nothing here.
    """
    given = next((name for name in NOT_HERE if flags[name]), None)
    if given:
        raise UsageError(
            f"--{given} is not for {run}, which holds conversations: give "
            "--decode_from_file=REQUESTS.jsonl or --decode_interactive"
        )
    if flags["decode_hparams"] and not flags["decode_interactive"]:
        raise UsageError(
            "--decode_hparams: a request says itself how it is answered (temperature, "
            "seed, n, max_completion_tokens)"
        )


def load(run: str, checkpoint: Path) -> Any:
    """The run's `ChatAnswerer`."""
    load_tensorflow()
    from t2t.decode.answering import answerer
    from t2t.decode.chat import Chat

    return answerer(Chat.from_run(run, checkpoint_path=checkpoint))


# -- requests ------------------------------------------------------------------------


class Requests:
    """Answers lines of requests and counts those that were refused.

    Args:
      folder: in which the files lie that requests refer to.
    """

    def __init__(self, answerer: Any, folder: Path) -> None:
        self.answerer, self.folder = answerer, folder
        self.refused: list[str] = []
        self.count = 0

    def responses(self, lines: Iterable[str]) -> Iterator[str]:
        """A line for each; an empty one for an empty one."""
        for number, line in enumerate(lines, 1):
            yield self._response(number, line) if line.strip() else ""

    def _response(self, number: int, line: str) -> str:
        from t2t.decode.fields import RequestError, read_json
        from t2t.decode.requests import parse
        from t2t.decode.responses import reply_json
        from t2t.media.fetch import Access

        self.count += 1
        try:
            access = Access(folder=self.folder)
            request = parse(read_json(line), access=access, side=self.answerer.side)
            if request.stream:
                raise RequestError("a line has one response", param="stream")
            *_, reply = self.answerer.answer(request)
            found = reply_json(reply, request)
        except RequestError as error:
            self.refused.append(f"line {number}: {error.message}")
            found = error.json()
        return json.dumps(found)

    def status(self) -> int:
        """0, or 2 and a line about what was refused."""
        if not self.refused:
            return 0
        print(
            f"t2t-decoder: {len(self.refused)} of {self.count} requests are refused; "
            f"the first is {self.refused[0]}",
            file=sys.stderr,
        )
        return 2


# -- talking -------------------------------------------------------------------------


def options(text: str) -> dict[str, float]:
    """`temperature=0.5,seed=3` as arguments of `ChatOptions`.

    Raises:
      UsageError: for another name, or what is no number.
    """
    from t2t.config import split_knobs

    values = dict(split_knobs(text))
    for name, value in values.items():
        if name not in DRAWN:
            hint = registry.close_to(name, DRAWN)
            raise UsageError(f"--decode_hparams has no {name!r} to talk with.{hint}")
        kinds = (int,) if name == "seed" else (int, float)
        if type(value) not in kinds or value < 0:
            kind = " or ".join(k.__name__ for k in kinds)
            raise UsageError(f"--decode_hparams: {name} is no {kind} from 0: {value!r}")
    return values


def understand(line: str, *, side: int) -> dict[str, Any]:
    """A typed line as 'messages', 'modalities' and 'voice' of a request.

    Args:
      side: pixels of a side of pictures.

    Raises:
      MediaError: for a file that cannot be read.
      UsageError: for a command that there is none of.
    """
    from t2t.media.layout import VOICES
    from t2t.media.messages import Message, Text

    asked = {"voice": VOICES[0]}
    wants = {"text"}
    for word in COMMAND.findall(line):
        name, _, voice = word.partition(":")
        if name not in ("speak", "draw") or (voice and voice not in VOICES):
            voices = "|".join(VOICES)
            raise UsageError(f"/{word} is none of /speak, /speak:{voices}, /draw")
        wants.add({"speak": "audio", "draw": "image"}[name])
        asked["voice"] = voice or asked["voice"]
    line = COMMAND.sub("", line)
    words = re.findall(r"[a-z]+", FILE.sub(" ", line.lower()))
    if "aloud" in words:
        wants.add("audio")
        line = re.sub(r",\s*aloud\b[.!]?\s*$", "", line)  # it is no part of the matter
    if "draw" in words:
        wants.add("image")
    if wants == {"text", "image"}:
        wants = {"image"}
    parts: list[Any] = []
    for piece in _pieces(line):
        if isinstance(piece, Path):
            parts += media_parts(piece, side=side)
        elif text := " ".join(piece.split()):
            parts.append(Text(text))
    modalities = tuple(m for m in ("text", "audio", "image") if m in wants)
    message = Message("user", tuple(parts))
    return {"messages": (message,), "modalities": modalities, **asked}


def _pieces(line: str) -> Iterator[str | Path]:
    """Text and files, in turn; a point after a name is text, if it names no file."""
    at = 0
    for found in FILE.finditer(line):
        yield line[at : found.start()]
        name, at = found[1] or found[2], found.end()
        if not found[1] and not Path(name).exists():
            bare = name.rstrip(POINTS)
            at -= len(name) - len(bare)
            name = bare
        yield Path(name)
    yield line[at:]


def media_parts(path: Path, *, side: int) -> list[Any]:
    """A picture, a sound, or a film and its sound, by what is in a file.

    Raises:
      MediaError: when it is none, or cannot be read.
    """
    from t2t.decode.references import References
    from t2t.media import files
    from t2t.media.fetch import Access
    from t2t.media.limits import Limits

    data = files.load(path, limits=Limits())
    known = tuple(dict.fromkeys((*files.PICTURES, *files.SOUNDS, *files.FILMS)))
    format = files.recognise(data, among=known)
    reader = References(Access(), Limits(), side)
    if format in files.FILMS:
        return reader.filmed(data, str(path))
    if format in files.SOUNDS:
        return reader.heard(data, str(path))
    return reader.seen(data, str(path))


def talk(answerer: Any, folder: Path, drawn: dict[str, Any]) -> None:
    """Answers each line of standard input until its end.

    Args:
      folder: for what is spoken and drawn.
      drawn: as `options` gives it.
    """
    from t2t.decode.engine import ChatOptions
    from t2t.decode.fields import RequestError
    from t2t.decode.requests import Request
    from t2t.media.limits import MediaError

    how, prompt = ChatOptions(**drawn), sys.stdin.isatty()
    while True:
        if prompt:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if not line.strip():
            continue
        try:
            asked = understand(line, side=answerer.side)
            *_, reply = answerer.answer(Request(options=how, **asked))
            for shown in present(reply.messages[0], folder):
                print(shown, flush=True)
        except (UsageError, RequestError, MediaError) as error:
            print(f"t2t-decoder: {error}", file=sys.stderr, flush=True)


def present(message: Any, folder: Path) -> Iterator[str]:
    """An answer's text, and the names of the files written for the rest."""
    from t2t.media.audio import write_wav
    from t2t.media.messages import RATE, Picture, Sound, Text
    from t2t.media.pictures import write_png

    stem = _unused(folder)
    for part in message.parts:
        if isinstance(part, Text):
            yield " ".join(part.text.splitlines())
        elif isinstance(part, Sound):
            yield str(write_wav(folder / f"{stem}.wav", part.samples, rate=RATE))
        elif isinstance(part, Picture):
            yield str(write_png(folder / f"{stem}.png", part.pixels))


def _unused(folder: Path) -> str:
    """answer-N of which there is neither a sound nor a picture yet."""
    for number in itertools.count(1):
        stem = f"answer-{number}"
        if not any((folder / f"{stem}.{end}").exists() for end in ("wav", "png")):
            return stem
    raise AssertionError
