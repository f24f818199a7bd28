"""The cached step of an omni model, and the answers that are written with it.

Slots are pushed through one step, compiled for a few shapes. The host keeps each
answer's grammar and the places of its slots; the step only samples among what the
grammar allows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from t2t.decode.grammar import Answer, Grammar, Limits
from t2t.decode.watermark import Lists
from t2t.layers import seeds as random
from t2t.media.layout import ALL, Slots

MASKED = -1e9
# Of `Slots.arrays`, in the order of `Pushed`; the last where input is continuous.
NAMES = ("targets", "audio", "places", "sensed")


@dataclasses.dataclass(frozen=True)
class ChatOptions:
    """How answers are drawn.

    temperature: of text; 0 for the likeliest.
    audio_temperature, picture_temperature: of codes.
    picture_guidance: how far pictures are pushed from what would be drawn for no
      request at all (classifier-free guidance, arXiv:2207.12598); 1 for not at all.
      Of 96 pictures that a run drew, 0.84 of the things were right at 1, 0.96 at 2 and
      0.98 at 3; what is pushed far is alike.
    seed: answers are the same for the same seed, whatever is answered beside.
    watermark: what is added to the logits of green codes, greedy or not; 0 for none.
    watermark_secret: that tells which are green; see `t2t.decode.watermark`.
    """

    temperature: float = 0.0
    audio_temperature: float = 0.6
    picture_temperature: float = 0.6
    picture_guidance: float = 2.0
    seed: int = 0
    limits: Limits = Limits()
    watermark: float = 0.0
    watermark_secret: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.watermark and not self.watermark_secret:
            raise ValueError("a watermark needs a watermark_secret")


class Pushed(NamedTuple):
    """Slots: main [B, T], audio [B, T, K], places [B, T, 3], int32; sensed [B, T, F],
    uint8, of no bytes where input is by codes alone."""

    main: Any
    audio: Any
    places: Any
    sensed: Any


class Draw(NamedTuple):
    """What the next slot is drawn from.

    allowed: bool [B, V]. temperatures: [B, 2], of the main stream and of audio. seeds:
    int [B]. guidance [B], shadows int [B]: of the main stream, beside the row that
    has no request. main_bias [B, V], audio_bias [B, K, C]: added to logits.
    """

    allowed: Any
    temperatures: Any
    seeds: Any
    guidance: Any
    shadows: Any
    main_bias: Any
    audio_bias: Any


class Engine:
    """The cached step of a model, for conversations that are answered together.

    Args:
      problem: gives `layout`, `pictures` and the picture's side.
      model: has `advance`, `write` and `speak`.
    """

    def __init__(self, problem: Any, model: Any) -> None:
        self.problem, self.model = problem, model
        self.layout = problem.layout
        self.listening = Listening(self.grammar(Limits()))
        self._step = tf.function(self._sample, jit_compile=True, autograph=False)

    def grammar(self, limits: Limits) -> Grammar:
        return Grammar(self.layout, codes=self.side**2, limits=limits)

    @property
    def side(self) -> int:
        """Codes of a side of a picture."""
        return self.problem.picture_side

    def __call__(
        self, slots: Pushed, caches: Any, *, slot: int, present: np.ndarray, draw: Draw
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """Pushes slots through, after `slot` others, and draws the next one.

        Args:
          present: bool [B, S], which slots of the caches hold something.

        Returns:
          (ids [B], codes [B, K], the chance [B] that a sound ends rather than goes
          on, caches).
        """
        ids, codes, ends, caches = self._step(
            Pushed(*map(tf.constant, slots)), caches, tf.constant(slot),
            tf.constant(present), Draw(*map(tf.constant, draw)),
        )  # fmt: skip
        return ids.numpy(), codes.numpy(), ends.numpy(), caches

    def _sample(
        self, slots: Pushed, caches: Any, slot: Any, present: Any, draw: Draw
    ) -> Any:
        hidden, caches = self.model.advance(*slots, caches, slot=slot, present=present)
        last = hidden[:, -1]
        logits = self.model.write(last)
        end = self.layout.vocabulary.mark("</sound>")
        goes_on = tf.where(self.listening.allowed, logits, MASKED)
        ends = tf.sigmoid(logits[:, end] - tf.reduce_logsumexp(goes_on, axis=-1))
        blind = tf.gather(logits, draw.shadows)
        logits = blind + draw.guidance[:, None] * (logits - blind)
        logits = tf.where(draw.allowed, logits + draw.main_bias, MASKED)
        noise = random.gumbel(
            (self.layout.vocabulary.size,), random.salted(draw.seeds, "write")
        )
        ids = tf.argmax(logits + draw.temperatures[:, :1] * noise, -1, tf.int32)
        codes = self.model.speak(
            last,
            temperature=draw.temperatures[:, 1],
            seed=draw.seeds,
            bias=draw.audio_bias,
        )
        return ids, codes, ends, caches


class Cache:
    """The slots that have been pushed through the step, row by row.

    A line that is guided has its shadow half of the rows further.

    Args:
      rows: B.
      total: S, slots that there is room for.
    """

    def __init__(self, engine: Engine, *, rows: int, total: int) -> None:
        self.engine, self.rows, self.total = engine, rows, total
        self.used = 0
        self._present = np.zeros((rows, total), bool)
        self._caches = engine.model.empty_caches(rows, total)

    def push(
        self,
        arrays: Sequence[dict[str, np.ndarray] | None],
        size: int,
        lines: Sequence[Line | Listening | None] = (),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Slots of each row, as `Slots.arrays` gives them, filled up on the left.

        Args:
          arrays: None, or too few, for rows that have nothing to push.
          size: of what is pushed; XLA compiles once for each.
          lines: what each row writes; None for nothing.

        Returns:
          (ids [B] and codes [B, K] that come next, the chance [B] that a sound ends).
        """
        slots = Pushed(
            np.zeros((self.rows, size), np.int32),
            np.zeros((self.rows, size, self.engine.layout.books), np.int32),
            np.zeros((self.rows, size, 3), np.int32),
            np.zeros((self.rows, size, self.engine.layout.senses), np.uint8),
        )
        here = self._present[:, self.used : self.used + size]
        for row, one in enumerate(arrays):
            if one is not None:
                first = size - len(one["targets"])
                here[row, first:] = True
                for array, name in zip(slots, NAMES, strict=True):
                    if name in one:
                        array[row, first:] = one[name]
        ids, codes, ends, self._caches = self.engine(
            slots, self._caches,
            slot=self.used, present=self._present, draw=self._draw(lines),
        )  # fmt: skip
        self.used += size
        return ids, codes, ends

    def cut(self, used: int) -> None:
        """Forgets all slots from one on."""
        self._present[:, used:] = False
        self.used = used

    def _draw(self, lines: Sequence[Line | Listening | None]) -> Draw:
        model, rows = self.engine.model, self.rows
        ids = self.engine.layout.vocabulary.size
        draw = Draw(
            np.zeros((rows, ids), bool),
            np.zeros((rows, 2), np.float32),
            np.zeros(rows, np.int32),
            np.ones(rows, np.float32),
            np.arange(rows, dtype=np.int32),
            np.zeros((rows, ids), np.float32),
            np.zeros((rows, model.books, model.codes), np.float32),
        )
        for row, line in enumerate(lines):
            if line is not None:
                draw.allowed[row], draw.seeds[row] = line.allowed, line.seed()
                draw.temperatures[row] = line.temperatures
                if isinstance(line, Line) and line.shadow:
                    draw.guidance[row] = line.guidance
                    draw.shadows[row] = row + rows // 2
                if line.biases:
                    draw.main_bias[row], draw.audio_bias[row] = line.biases
        return draw


class Listening:
    """What is written down beside a sound that is heard: the likeliest, piece or none.

    As much of a `Line` as a push needs.
    """

    temperatures = (0.0, 0.0)
    shadow: None = None
    biases: None = None

    def __init__(self, grammar: Grammar) -> None:
        self.allowed = grammar.listening

    def seed(self) -> int:
        return 0


class Line:
    """One answer as it is written: what may come next, and its slots.

    Args:
      slots: what is written so far, none of it of the answer.
      number: for its random numbers.
      shadow: the same after no request, where the answer is guided.
    """

    def __init__(
        self,
        engine: Engine,
        answer: Answer,
        options: ChatOptions,
        *,
        slots: Slots,
        number: int,
        shadow: Slots | None = None,
    ) -> None:
        self.engine, self.answer, self.options = engine, answer, options
        self.slots, self.shadow = slots, shadow
        self.number, self.time = number, 0
        self.biases: tuple[np.ndarray, np.ndarray] | None = None
        if options.watermark:
            lists = Lists(options.watermark_secret)
            self.biases = lists.biases(engine, options.watermark)

    @property
    def done(self) -> bool:
        return self.answer.done

    @property
    def allowed(self) -> np.ndarray:
        """bool [V]: ids that may come next."""
        return self.answer.grammar.allowed[self.answer.state]

    @property
    def guidance(self) -> float:
        """Of the main stream."""
        return self.options.picture_guidance if self.answer.name == "code" else 1.0

    @property
    def temperatures(self) -> tuple[float, float]:
        """Of the main stream, of audio."""
        options, name = self.options, self.answer.name
        main = options.picture_temperature if name == "code" else 0.0
        if name.startswith("text"):
            main = options.temperature
        return main, options.audio_temperature

    def seed(self) -> int:
        """Of the next slot, another each time."""
        words = [self.options.seed, self.number, self.time]
        self.time += 1
        return int(np.random.SeedSequence(words).generate_state(1)[0] >> 1)

    def take(self, i: int, codes: np.ndarray) -> None:
        """Notes what was drawn, id and codes [K], at its place."""
        answer, layout = self.answer, self.engine.layout
        audio, at = None, None
        if answer.name == "code":
            at = divmod(answer.codes, self.engine.side)
        if answer.sounding:
            # Late books have no code beside the first frame, others none at the end.
            ends = i == answer.grammar.ids["sound ends"]
            absent = layout.delays == 0 if ends else layout.delays > answer.frames
            audio = np.where(absent, 0, codes).astype(np.int32)
        answer.take(i)
        for slots in filter(None, (self.slots, self.shadow)):
            tick = slots.tick
            place = at and (tick, tick + at[0], tick + at[1])
            slots.add(i, learned=ALL, audio=audio, place=place)
            if answer.name == "picture ends":
                slots.tick += self.engine.side
