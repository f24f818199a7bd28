"""A streaming guard: an answer goes on only in the voice that was chosen for it.

Every 40 ms a model (`voice_guard`) says whose voice it hears. The log-odds that it is
not the chosen one are summed up, never below zero (CUSUM; Page, Biometrika 1954), and
where the sum passes a threshold the answer is blocked: early where the voice is clearly
another, and at no one frame's word.

Axis letters: B trials, N samples, T frames, C voices, the last of them anybody else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from t2t.decode.decoder import DecodeError
from t2t.media.layout import VOICES
from t2t.media.messages import RATE
from t2t.media.tokenizers import Tokenizer

ROWS = 32  # trials heard together


@dataclasses.dataclass(frozen=True)
class GuardOptions:
    """When an answer is blocked.

    threshold: of the summed log-odds, in nats.
    most: of one frame's log-odds, either way.
    doubt: taken from each frame's: how sure a frame must be to count against.
    """

    threshold: float = 6.0
    most: float = 3.0
    doubt: float = 0.0

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.most > 0):
            raise ValueError(f"a threshold and a most are above 0, not {self}")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """blocked: whether it is. evidence: nats against the voice. seconds: of sound."""

    blocked: bool
    evidence: float
    seconds: float


class FrozenGuard(Tokenizer):
    """The trained model, as `t2t-exporter` writes it: voice_guard.npz."""

    def __init__(self) -> None:
        super().__init__("voice_guard", problem="speech_voices")


class Guard:
    """Listens to one answer, frame by frame; the model is compiled once a `Listener`.

    Args:
      voice: that was chosen.
    """

    def __init__(
        self, listener: Listener, voice: str, *, options: GuardOptions | None = None
    ) -> None:
        self.listener, self.voice = listener, voice_index(voice)
        self.options = options or GuardOptions()
        self.reset()

    def reset(self) -> None:
        """An answer begins."""
        self._past = self.listener.silence
        self._rest = np.zeros(0, np.float32)
        self._frames, self._evidence, self._blocked = 0, 0.0, False

    def hear(self, samples: np.ndarray) -> Verdict:
        """Takes float32 samples [n] at 16 kHz within ±1, any number of them.

        Once blocked, an answer stays so.
        """
        frame = self.listener.frame
        whole = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        for begin in range(0, len(whole) - frame + 1, frame):
            logits, speech, self._past = self.listener.hear(
                whole[begin : begin + frame], self._past
            )
            self._frames += 1
            step = against(logits, self.voice, self.options) * speech
            self._evidence = max(0.0, self._evidence + float(step))
            self._blocked |= self._evidence >= self.options.threshold
        self._rest = whole[len(whole) // frame * frame :]
        seconds = self._frames * frame / RATE
        return Verdict(self._blocked, self._evidence, seconds)


class Listener:
    """The model a frame at a time, for any number of guards.

    Args:
      model: `voice_guard`.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.frame = model, model.frame
        self._hear = tf.function(model.hear, jit_compile=True, autograph=False)
        self.silence = model.silence(1)

    def hear(self, samples: np.ndarray, past: Any) -> tuple[np.ndarray, float, Any]:
        """A frame's samples -> (logits [C], 1 once there was speech, the new past)."""
        logits, inner, past = self._hear(tf.constant(samples[None], tf.float32), past)
        return logits.numpy()[0, 0], float(inner["speech"][0, 0]), past


def voice_index(voice: str) -> int:
    """
    Raises:
      DecodeError: for a voice that the assistant does not have.
    """
    if voice not in VOICES:
        raise DecodeError(f"there is no voice {voice!r}, only {', '.join(VOICES)}")
    return VOICES.index(voice)


def against(logits: np.ndarray, voice: int, options: GuardOptions) -> np.ndarray:
    """Log-odds [...] that a voice is not the one who speaks, of logits [..., C]."""
    others = np.delete(logits, voice, axis=-1)
    most = others.max(axis=-1, keepdims=True)
    total = np.log(np.exp(others - most).sum(axis=-1)) + most[..., 0]
    odds = total - logits[..., voice] - options.doubt
    return np.clip(odds, -options.most, options.most)


# -- how well it does ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Trial:
    """An answer's sound, int16 [N], and the voice that was chosen for it.

    deviates: whether somebody else speaks. groups: rows of the table it counts in.
    """

    samples: np.ndarray
    voice: str
    deviates: bool
    groups: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Rates:
    """Of the trials of a group; precision is that of as many proper as deviating.

    recall: of deviations, that were blocked. false_blocks: share of the proper.
    seconds: median of sound before a deviation that was blocked was.
    """

    group: str
    deviating: int
    proper: int
    recall: float
    false_blocks: float
    seconds: float

    @property
    def precision(self) -> float:
        blocked = self.recall + self.false_blocks
        return self.recall / blocked if blocked else float("nan")


def trials(clips: Iterable[Any]) -> list[Trial]:
    """Of `speech_voices`' clips: a preset beside its own voice and, as a deviation,
    beside another; anybody else beside each voice by turns."""
    found: list[Trial] = []
    for number, clip in enumerate(clips):
        how = "coded" if clip.coded else "raw"
        groups = ("all", how, clip.kind, f"accent {clip.accent}")
        turn = VOICES[number % len(VOICES)]
        if clip.voice in VOICES:
            groups = ("all", how, f"voice {clip.voice}", f"accent {clip.accent}")
            found.append(Trial(clip.samples, clip.voice, False, groups))
            place = VOICES.index(clip.voice) + 1 + number % (len(VOICES) - 1)
            turn, groups = VOICES[place % len(VOICES)], ("all", how, "other preset")
        found.append(Trial(clip.samples, turn, True, groups))
    return found


def paths(
    model: Any, given: Sequence[Trial], options: GuardOptions | None = None
) -> np.ndarray:
    """The evidence [B, T] of trials, all of one length."""
    options = options or GuardOptions()
    found = []
    for start in range(0, len(given), ROWS):
        part = given[start : start + ROWS]
        logits, inner = model({"audio": np.stack([t.samples for t in part])})
        logits, speech = np.asarray(logits), np.asarray(inner["speech"])
        for row, trial in enumerate(part):
            steps = against(logits[row], voice_index(trial.voice), options)
            path, sums = 0.0, []
            for step in steps * speech[row]:
                path = max(0.0, path + float(step))
                sums.append(path)
            found.append(sums)
    return np.array(found)


def table(
    given: Sequence[Trial], evidence: np.ndarray, *, threshold: float, frame: int = 640
) -> list[Rates]:
    """Rates of every group at a threshold, those of all first.

    Args:
      evidence: [B, T], see `paths`.
      frame: samples.
    """
    over = np.greater_equal(evidence, threshold)
    blocked, first = np.any(over, axis=1), np.argmax(over, axis=1)
    seconds = (first + 1) * frame / RATE
    deviates = np.array([trial.deviates for trial in given], bool)
    groups = dict.fromkeys(g for trial in given for g in trial.groups)
    rows = []
    for group in groups:
        of = np.array([group in trial.groups for trial in given], bool)
        wrong = np.logical_and(of, deviates)
        right = np.logical_and(of, ~deviates)
        caught = wrong & blocked
        rows.append(
            Rates(
                group,
                int(wrong.sum()),
                int(right.sum()),
                float(np.mean(blocked[wrong])) if wrong.any() else float("nan"),
                float(np.mean(blocked[right])) if right.any() else float("nan"),
                float(np.median(seconds[caught])) if caught.any() else float("nan"),
            )
        )
    return rows


def curve(
    given: Sequence[Trial], evidence: np.ndarray
) -> list[tuple[float, float, float]]:
    """(threshold, recall, false blocks) at every threshold that changes one."""
    most = evidence.max(axis=1)
    deviates = np.array([trial.deviates for trial in given])
    return [
        (
            float(at),
            float((most[deviates] >= at).mean()),
            float((most[~deviates] >= at).mean()),
        )
        for at in np.unique(most[most > 0])
    ]
