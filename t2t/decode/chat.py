"""`Chat`: an omni run in memory. Conversations in, answers of any modality out.

What is pushed through the cached step are whole prompts of one of some lengths, then
one slot at a time.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2t import registry
from t2t.decode.codec import Codec
from t2t.decode.decoder import DecodeError, load_model
from t2t.decode.engine import Cache, ChatOptions, Engine, Line
from t2t.decode.grammar import Limits
from t2t.decode.requests import conversation
from t2t.media.layout import Slots
from t2t.media.messages import Coded, Film, Message, Part, Picture, Sound
from t2t.run import checkpoints
from t2t.run.folder import open_run

if TYPE_CHECKING:
    from t2t.decode.mitigations import Mitigations
    from t2t.decode.voice import VoiceSession

LENGTHS = (32, 64, 128, 192, 256)  # of prompts: XLA compiles once for each
ROWS = 16  # conversations answered together
WRITE_DOWN = "write down"  # what somebody says, as the model learned it


class Chat:
    """Answers conversations; safe to call from several threads."""

    def __init__(self, problem: Any, model: Any) -> None:
        self.problem, self.engine = problem, Engine(problem, model)
        self.layout = problem.layout
        self._codec: Codec | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_run(
        cls, run: str | Path, *, checkpoint_path: str | Path | None = None
    ) -> Chat:
        """The run's model with its best or newest checkpoint, or a given one.

        Raises:
          RunError, CheckpointError: when there is no run or no checkpoint.
          DecodeError: when its model is no omni.
        """
        folder, config = open_run(run)
        if not hasattr(registry.current().load("model", config.knob("model")), "speak"):
            raise DecodeError(
                f"{run} holds a {config.knob('model')}, which answers no "
                "conversations: a run of omni does"
            )
        path = checkpoints.resolve(checkpoint_path or folder.path)
        problem, model = load_model(folder, config, path)
        return cls(problem, model)

    def chat(
        self,
        messages: Sequence[Message | dict[str, Any]],
        modalities: tuple[str, ...] = ("text",),
        *,
        voice: str = "",
        options: ChatOptions | None = None,
    ) -> Message:
        """The assistant's answer, its sounds and pictures ready to hear and see.

        Args:
          messages: ours, or {'role': …, 'content': …} as OpenAI has them.
          modalities: of the answer.
          voice: of its speech; '' for any.

        Raises:
          RequestError: for a message that cannot be read.
        """
        answer = Message("assistant", (), voice=voice, wants=modalities)
        side = self.problem.picture_side * self.problem.pictures.patch
        (coded,) = self.problem.code([conversation(messages, side=side)])
        (parts,) = self.answers([coded], [answer], options)
        return dataclasses.replace(answer, parts=tuple(map(self.decoded, parts)))

    def voice_session(
        self,
        *,
        voice: str = "alto",
        turn_detection: bool = True,
        options: ChatOptions | None = None,
        mitigations: Mitigations | None = None,
    ) -> VoiceSession:
        """A conversation by voice; see `t2t.decode.voice`."""
        from t2t.decode.voice import VoiceSession

        return VoiceSession(
            self.engine, self.codec, self.problem.code,
            voice=voice, turn_detection=turn_detection, options=options,
            mitigations=mitigations,
        )  # fmt: skip

    def transcript(self, parts: Sequence[Part]) -> str:
        """What coded parts say: text as it is, speech as the network writes it down
        while it listens."""
        answer = Message("assistant", (), wants=("text",))
        slots = self.layout.prompt([Message("user", tuple(parts))], answer)
        if True in slots.heard:  # else there is nothing to listen to
            Group(self.engine, [slots], [answer], ChatOptions(), numbers=[0])
        return self.layout.text(slots.main)

    @property
    def codec(self) -> Codec:
        """Of sounds as they come, compiled when it is first needed."""
        with self._lock:
            if self._codec is None:
                self._codec = Codec(self.problem.sounds.model)
        return self._codec

    def decoded(self, part: Part) -> Part:
        """A coded part as samples or pixels."""
        if not isinstance(part, Coded):
            return part
        if part.kind == "sound":
            return Sound(self.problem.sounds.decode(part.codes))
        if part.kind == "picture":
            return Picture(self.problem.pictures.decode(part.codes))
        return Film(np.stack([self.problem.pictures.decode(c) for c in part.codes]))

    def answers(
        self,
        conversations: Sequence[Sequence[Message]],
        answers: Sequence[Message],
        options: ChatOptions | None = None,
    ) -> list[list[Part]]:
        """Coded parts that answer each coded conversation, in order.

        Args:
          answers: what is asked for: an assistant's message without parts each.

        Raises:
          DecodeError: for a conversation that is too long.
        """
        options = options or ChatOptions()
        prompts = [
            self.layout.prompt(messages, answer)
            for messages, answer in zip(conversations, answers, strict=True)
        ]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].main))
        found: list[list[Part]] = [[] for _ in prompts]
        for start in range(0, len(order), ROWS):
            rows = order[start : start + ROWS]
            group = Group(
                self.engine,
                [prompts[i] for i in rows],
                [answers[i] for i in rows],
                options,
                numbers=rows,
            )
            group.finish()
            for i, line in zip(rows, group.lines, strict=True):
                slots = line.slots
                found[i] = self.layout.parts(slots.main, np.array(slots.audio))
        return found


class Group:
    """Conversations that are answered together, slot by slot.

    Args:
      prompts: laid out, each with the opening of its answer.
      answers: what is asked of each.
      numbers: of each, for its random numbers.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Slots],
        answers: Sequence[Message],
        options: ChatOptions,
        *,
        numbers: Sequence[int],
    ) -> None:
        self.engine, self.grammar = engine, engine.grammar(options.limits)
        layout = engine.layout
        blind = [
            layout.prompt([Message("user", ())], answer)
            if "image" in answer.modalities and options.picture_guidance != 1.0
            else None
            for answer in answers
        ]
        self.lines = [
            Line(
                engine,
                self.grammar.begin(answer.modalities),
                options,
                slots=layout.slots(prompt.tick),
                number=number,
                shadow=shadow and layout.slots(shadow.tick),
            )
            for prompt, answer, number, shadow in zip(
                prompts, answers, numbers, blind, strict=True
            )
        ]
        self.rows = 1 if len(prompts) == 1 else ROWS
        longest = max(len(p.main) for p in prompts)
        size = next((n for n in LENGTHS if n >= longest), None)
        if size is None:
            raise DecodeError(
                f"a conversation has {longest} slots; at most {LENGTHS[-1]} can be read"
            )
        # At least room for usual limits: lower ones shall not compile anew. What is
        # heard is read slot by slot, after what stands before it in any row.
        limits, usual = options.limits, Limits()
        listens = any(True in prompt.heard for prompt in prompts)
        total = LENGTHS[-1] * (1 + listens) + max(limits.pieces, usual.pieces)
        total += max(limits.frames, usual.frames) + self.grammar.codes
        rows = 2 * self.rows if any(blind) else self.rows
        self.cache = Cache(engine, rows=rows, total=total + 8)  # and the marks
        if listens:
            self._listen([*prompts, *[None] * (self.rows - len(prompts)), *blind])
        else:
            self._push(prompts, blind, size)

    def finish(self) -> None:
        """Writes all answers to their ends."""
        while not all(line.done for line in self.lines):
            self.step()

    def step(self) -> None:
        """One more slot of every answer that has not ended."""
        written = [line.slots for line in self.lines]
        self._push(written, [line.shadow for line in self.lines], 1)

    def _listen(self, prompts: Sequence[Slots | None]) -> None:
        """Reads prompts up to their first sound, and then slot by slot: beside a sound
        stands what the network has heard of it."""
        rows = [one and Reading(one) for one in prompts[: self.cache.rows]]
        real = [row for row in rows if row is not None]
        longest = max(row.begin for row in real)
        size = next(n for n in LENGTHS if n >= longest)
        self.cache.push([row and row.before for row in rows], size)
        for left in range(max(row.rest for row in real), 1, -1):
            writes = [row and row.writes(left) for row in rows]
            lines = [self.engine.listening if one else None for one in writes]
            ids, _, _ = self.cache.push(
                [row and row.slot(left) for row in rows], 1, lines
            )
            for row, i in zip(rows, ids, strict=False):
                if row and row.writes(left):
                    row.write(left, int(i))
        self._push_rows([row and row.slot(1) for row in rows], 1)

    def _push(
        self, slots: Sequence[Slots], blind: Sequence[Slots | None], size: int
    ) -> None:
        """The last slots of each row, and of each shadow."""
        rows: list[Slots | None] = [*slots, *[None] * (self.rows - len(slots)), *blind]
        arrays = [one and one.arrays(max(0, len(one.main) - size)) for one in rows]
        self._push_rows(arrays[: self.cache.rows], size)

    def _push_rows(
        self, arrays: Sequence[dict[str, np.ndarray] | None], size: int
    ) -> None:
        """Slots of each row; what comes next in each answer is taken."""
        lines = [None if line.done else line for line in self.lines]
        ids, codes, _ = self.cache.push(arrays, size, lines)
        for row, line in enumerate(lines):
            if line is not None:
                line.take(int(ids[row]), codes[row])


class Reading:
    """A prompt as it is read: up to its first sound at once, then slot by slot.

    `left` counts slots from the end, the last of which is 1 and draws the answer.
    """

    def __init__(self, slots: Slots) -> None:
        self.slots, self.count = slots, len(slots.main)
        sounds = True in slots.heard
        self.begin = slots.heard.index(True) - 1 if sounds else self.count - 1
        self.rest = self.count - self.begin

    @property
    def before(self) -> dict[str, np.ndarray]:
        return self.slots.arrays(0, self.begin)

    def slot(self, left: int) -> dict[str, np.ndarray] | None:
        """None while its turn has not come."""
        if left > self.rest:
            return None
        at = self.count - left
        return self.slots.arrays(at, at + 1)

    def writes(self, left: int) -> bool:
        """Whether the main stream after this slot is the network's to write."""
        return left <= self.rest and self.slots.heard[self.count - left + 1]

    def write(self, left: int, i: int) -> None:
        self.slots.main[self.count - left + 1] = i
