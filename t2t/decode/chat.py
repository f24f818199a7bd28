"""`Chat`: an omni run in memory. Conversations in, answers of any modality out.

Slots are pushed through one cached step, compiled for a few shapes: whole prompts of
one of some lengths, then one slot at a time. The host keeps each answer's grammar and
the places of its slots; the step only samples among what the grammar allows.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from t2t import registry
from t2t.decode.decoder import DecodeError, load_model
from t2t.decode.grammar import Answer, Grammar, Limits
from t2t.decode.watermark import Lists
from t2t.layers import seeds as random
from t2t.media.layout import ALL, Slots
from t2t.media.messages import Coded, Film, Message, Part, Picture, Sound
from t2t.run import checkpoints
from t2t.run.folder import open_run

if TYPE_CHECKING:
    from t2t.decode.voice import Codec, VoiceSession

LENGTHS = (32, 64, 128, 192, 256)  # of prompts: XLA compiles once for each
ROWS = 16  # conversations answered together
MASKED = -1e9


@dataclasses.dataclass(frozen=True)
class ChatOptions:
    """How answers are drawn.

    temperature: of text; 0 for the likeliest.
    audio_temperature, picture_temperature: of codes.
    seed: answers are the same for the same seed, whatever is answered beside.
    watermark: what is added to the logits of green codes, greedy or not; 0 for none.
    watermark_secret: that tells which are green; see `t2t.decode.watermark`.
    """

    temperature: float = 0.0
    audio_temperature: float = 0.6
    picture_temperature: float = 0.6
    seed: int = 0
    limits: Limits = Limits()
    watermark: float = 0.0
    watermark_secret: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.watermark and not self.watermark_secret:
            raise ValueError("a watermark needs a watermark_secret")


class Engine:
    """The cached step of a model, for conversations that are answered together.

    Args:
      problem: gives `layout`, `pictures` and the picture's side.
      model: has `advance`, `write` and `speak`.
    """

    def __init__(self, problem: Any, model: Any) -> None:
        self.problem, self.model = problem, model
        self.layout = problem.layout
        self._step = tf.function(self._sample, jit_compile=True, autograph=False)

    def grammar(self, limits: Limits) -> Grammar:
        return Grammar(self.layout, codes=self.side**2, limits=limits)

    @property
    def side(self) -> int:
        """Codes of a side of a picture."""
        return self.problem.picture_side

    def __call__(
        self,
        main: np.ndarray,
        audio: np.ndarray,
        places: np.ndarray,
        caches: Any,
        *,
        slot: int,
        present: np.ndarray,
        allowed: np.ndarray,
        temperatures: np.ndarray,
        seeds: np.ndarray,
        biases: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
        """Pushes slots [B, T] through and draws the next one.

        Args:
          allowed: bool [B, V].
          temperatures: float [B, 2], of the main stream and of audio.
          seeds: int [B].
          biases: added to logits: float [B, V] and [B, K, C]; None for none.

        Returns:
          (ids [B], codes [B, K], the chance [B] that a sound ends rather than goes
          on, caches).
        """
        if biases is None:  # of zeros, so that there is one program
            biases = self.no_biases(len(main))
        ids, codes, ends, caches = self._step(
            tf.constant(main), tf.constant(audio), tf.constant(places), caches,
            tf.constant(slot), tf.constant(present), tf.constant(allowed),
            tf.constant(temperatures), tf.constant(seeds),
            *map(tf.constant, biases),
        )  # fmt: skip
        return ids.numpy(), codes.numpy(), ends.numpy(), caches

    def no_biases(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Zeros [B, V] and [B, K, C], to be filled."""
        model = self.model
        main = np.zeros((rows, self.layout.vocabulary.size), np.float32)
        return main, np.zeros((rows, model.books, model.codes), np.float32)

    def _sample(
        self,
        main: Any,
        audio: Any,
        places: Any,
        caches: Any,
        slot: Any,
        present: Any,
        allowed: Any,
        temperatures: Any,
        drawn: Any,
        main_bias: Any,
        audio_bias: Any,
    ) -> Any:
        hidden, caches = self.model.advance(
            main, audio, places, caches, slot=slot, present=present
        )
        last = hidden[:, -1]
        logits = self.model.write(last)
        end, frame = (self.layout.vocabulary.mark(m) for m in ("</sound>", "<audio>"))
        ends = tf.sigmoid(logits[:, end] - logits[:, frame])
        logits = tf.where(allowed, logits + main_bias, MASKED)
        noise = random.gumbel(
            (self.layout.vocabulary.size,), random.salted(drawn, "write")
        )
        ids = tf.argmax(logits + temperatures[:, :1] * noise, -1, tf.int32)
        codes = self.model.speak(
            last, temperature=temperatures[:, 1], seed=drawn, bias=audio_bias
        )
        return ids, codes, ends, caches


class Line:
    """One answer as it is written: what may come next, and its slots.

    Args:
      slots: what is written so far, none of it of the answer.
      number: for its random numbers.
    """

    def __init__(
        self,
        engine: Engine,
        answer: Answer,
        options: ChatOptions,
        *,
        slots: Slots,
        number: int,
    ) -> None:
        self.engine, self.answer, self.options = engine, answer, options
        self.slots, self.number, self.time = slots, number, 0
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
        answer, slots, layout = self.answer, self.slots, self.engine.layout
        audio, place = None, None
        if answer.name == "code":
            row, column = divmod(answer.codes, self.engine.side)
            place = (slots.tick, slots.tick + row, slots.tick + column)
        if i == answer.grammar.ids["frame"]:
            early = np.array(layout.delays) > answer.frames
            audio = np.where(early, 0, codes).astype(np.int32)
        slots.add(i, learned=ALL, audio=audio, place=place)
        answer.take(i)
        if answer.name == "picture ends":
            slots.tick += self.engine.side


class Chat:
    """Answers conversations; safe to call from several threads."""

    def __init__(self, problem: Any, model: Any) -> None:
        self.problem, self.engine = problem, Engine(problem, model)
        self.layout = problem.layout
        self._codec: Codec | None = None  # of voice sessions
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
        messages: Sequence[Message],
        modalities: tuple[str, ...] = ("text",),
        *,
        voice: str = "",
        options: ChatOptions | None = None,
    ) -> Message:
        """The assistant's answer, its sounds and pictures ready to hear and see."""
        answer = Message("assistant", (), voice=voice, wants=modalities)
        (coded,) = self.problem.code([messages])
        (parts,) = self.answers([coded], [answer], options)
        return dataclasses.replace(answer, parts=tuple(map(self.decoded, parts)))

    def voice_session(
        self,
        *,
        voice: str = "alto",
        turn_detection: bool = True,
        options: ChatOptions | None = None,
    ) -> VoiceSession:
        """A conversation by voice; see `t2t.decode.voice`."""
        from t2t.decode.voice import Codec, VoiceSession

        with self._lock:
            if self._codec is None:
                self._codec = Codec(self.problem.sounds.model)
        return VoiceSession(
            self.engine, self._codec, self.problem.code,
            voice=voice, turn_detection=turn_detection, options=options,
        )  # fmt: skip

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
                [answers[i].modalities for i in rows],
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
      modalities: asked of each.
      numbers: of each, for its random numbers.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Slots],
        modalities: Sequence[tuple[str, ...]],
        options: ChatOptions,
        *,
        numbers: Sequence[int],
    ) -> None:
        self.engine, self.grammar = engine, engine.grammar(options.limits)
        self.lines = [
            Line(
                engine,
                self.grammar.begin(wanted),
                options,
                slots=Slots(engine.layout.books, tick=prompt.tick),
                number=number,
            )
            for prompt, wanted, number in zip(prompts, modalities, numbers, strict=True)
        ]
        self.rows = 1 if len(prompts) == 1 else ROWS
        longest = max(len(p.main) for p in prompts)
        size = next((n for n in LENGTHS if n >= longest), None)
        if size is None:
            raise DecodeError(
                f"a conversation has {longest} slots; at most {LENGTHS[-1]} can be read"
            )
        # At least room for usual limits: lower ones shall not compile anew.
        limits, usual = options.limits, Limits()
        self.total = LENGTHS[-1] + max(limits.pieces, usual.pieces)
        self.total += max(limits.frames, usual.frames) + self.grammar.codes
        self.total += 8  # marks
        self.slot = 0
        self.present = np.zeros((self.rows, self.total), bool)
        self.caches = engine.model.empty_caches(self.rows, self.total)
        self._push(*self._padded(prompts, size))

    def finish(self) -> None:
        """Writes all answers to their ends."""
        while not all(line.done for line in self.lines):
            self.step()

    def step(self) -> None:
        """One more slot of every answer that has not ended."""
        main = np.zeros((self.rows, 1), np.int32)
        audio = np.zeros((self.rows, 1, self.engine.layout.books), np.int32)
        places = np.zeros((self.rows, 1, 3), np.int32)
        for row, line in enumerate(self.lines):
            slots = line.slots
            main[row], audio[row], places[row] = (
                slots.main[-1], slots.audio[-1], slots.places[-1],
            )  # fmt: skip
        self._push(main, audio, places, np.ones((self.rows, 1), bool))

    # -- parts ------------------------------------------------------------------------

    def _padded(self, prompts: Sequence[Slots], size: int) -> tuple[Any, ...]:
        """Prompts as arrays [rows, size], filled up on the left."""
        main = np.zeros((self.rows, size), np.int32)
        audio = np.zeros((self.rows, size, self.engine.layout.books), np.int32)
        places = np.zeros((self.rows, size, 3), np.int32)
        real = np.zeros((self.rows, size), bool)
        for row, prompt in enumerate(prompts):
            arrays, count = prompt.arrays(), len(prompt.main)
            main[row, size - count :] = arrays["targets"]
            audio[row, size - count :] = arrays["audio"]
            places[row, size - count :] = arrays["places"]
            real[row, size - count :] = True
        return main, audio, places, real

    def _push(self, main: Any, audio: Any, places: Any, real: Any) -> None:
        count = main.shape[1]
        self.present[:, self.slot : self.slot + count] = real
        allowed = np.zeros((self.rows, self.grammar.allowed.shape[1]), bool)
        temperatures = np.zeros((self.rows, 2), np.float32)
        drawn = np.zeros(self.rows, np.int32)
        biases = self.engine.no_biases(self.rows)
        for row, line in enumerate(self.lines):
            if not line.done:
                allowed[row], temperatures[row] = line.allowed, line.temperatures
                drawn[row] = line.seed()
                if line.biases:
                    biases[0][row], biases[1][row] = line.biases
        ids, codes, _, self.caches = self.engine(
            main, audio, places, self.caches,
            slot=self.slot, present=self.present,
            allowed=allowed, temperatures=temperatures, seeds=drawn, biases=biases,
        )  # fmt: skip
        self.slot += count
        for row, line in enumerate(self.lines):
            if not line.done:
                line.take(int(ids[row]), codes[row])
