"""One decoder-only network over text, sound, pictures and films (after GPT-4o, whose
insides are unpublished; streams as in Moshi, arXiv:2410.00037, and MusicGen,
arXiv:2306.05284).

Notable features: a main stream of text pieces, marks and picture codes beside K
streams of audio codes, summed at the input; places on three axes turned into queries
and keys; normalised queries and keys; one loss. What goes in and what comes out are
the same tokens, so a heard frame is pushed through the same cached step as a spoken; or
what is heard and seen goes in as spectra and pixels, and tokens only come out.

Axis letters: B batch, T slots, S cached slots, K audio books, C codes of a book, D
model, V ids of the main stream.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
from keras import ops

from t2t import knobs, registry
from t2t import losses as losses_lib
from t2t.features import Feature
from t2t.layers import seeds
from t2t.layers.blocks import BlockShape, Stack
from t2t.layers.embedding import Embedding
from t2t.layers.senses import Senses
from t2t.losses import Sum


@registry.model("omni")
class Omni(keras.Model):
    """Any mix of text, audio, pictures and film in; text, audio and pictures out.

    Args:
      features: of the problem; `targets` is the main stream, `audio` the codes of K
        books (0: none), `places` [T, 3], `learned` 1 where a slot counts, 2 where its
        main stream does; `sensed`, where it is offered, bytes of continuous input.
      blocks: the knobs of all blocks; positions are rotary whatever it says.
      num_layers: blocks.
      audio_head: 'parallel' or 'delay': the books of a slot are told each by itself
        (what differs is how the problem lays them out); 'depth': one after another,
        by a small Transformer over the books (RQ-Transformer, arXiv:2203.01941).
      depth_size, depth_layers: of that Transformer.
      audio_weight: of the audio loss, a mean over books, beside the main stream's.
      picture_weight: of the loss of a picture's code, beside that of a piece of text.
    """

    FEATURES = {
        "targets": "text",
        "audio": "slots",
        "places": "slots",
        "learned": "slots",
    }
    METRICS = (
        "text_accuracy",
        "text_cross_entropy",
        "audio_accuracy",
        "audio_cross_entropy",
    )
    JIT = True

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        blocks: BlockShape,
        num_layers: int = 4,
        audio_head: str = "delay",
        depth_size: int = 96,
        depth_layers: int = 2,
        audio_weight: float = 1.0,
        picture_weight: float = 1.0,
    ) -> None:
        super().__init__(name="omni")
        knobs.check_choice("omni.audio_head", audio_head)
        blocks = dataclasses.replace(blocks, position="rotary")
        size, audio = blocks.hidden_size, features["audio"]
        self.books, self.codes = int(audio.shape[1] or 0), audio.classes
        self.audio_weight, self.picture_weight = audio_weight, picture_weight
        text = features["targets"]
        # Ids of pictures' codes come after those of text.
        self.pieces = text.size - (math.prod(text.levels) if text.levels else 0)
        self.embedding = Embedding(
            text.size, size, levels=text.levels, name="embedding"
        )
        self.heard = [
            Embedding(self.codes, size, levels=audio.levels, name=f"heard_{k}")
            for k in range(self.books)
        ]
        self.senses = Senses(size) if "sensed" in features else None
        self.decoder = Stack(
            blocks, num_layers=num_layers, causal=True, cross=False, name="decoder"
        )
        self.depth: Depth | None = None
        if audio_head == "depth":
            self.depth = Depth(
                self.books, audio, size=depth_size, num_layers=depth_layers
            )
        else:
            self.spoken = keras.layers.Dense(self.books * self.codes, name="spoken")

    # -- training --------------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """(logits [B, T, V] of the main stream's next slot, inner values).

        inner['audio_logits'] [B, T, K, C] are those of the next slot's codes.
        """
        segments = batch["targets_segments"]
        x, inner, _ = self.decoder(
            self._embed(batch["targets"], batch["audio"], batch.get("sensed")),
            segments=segments,
            positions=batch["places"],
            training=training,
        )
        inner = {f"decoder/{name}": value for name, value in inner.items()}
        inner["audio_logits"] = self._audio_logits(x, _next(batch["audio"]))
        return self.embedding.logits(x), inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all': (sum, slots to learn)}, inner values)."""
        logits, inner = self(batch, training=training)
        segments = batch["targets_segments"]
        learned = (_next(segments) > 0) & (_next(batch["learned"]) > 0)
        learned &= ops.equal(segments, _next(segments))
        targets, audio = _next(batch["targets"]), _next(batch["audio"])
        own = ops.logical_and(learned, ops.equal(_next(batch["learned"]), 1))
        # A sound is where any book has a code.
        sounds = ops.logical_and(own, ops.any(audio > 0, axis=-1))
        written = targets < self.pieces
        weights = ops.where(written, 1.0, self.picture_weight)
        weights = weights * ops.cast(learned, "float32")
        main, count = losses_lib.cross_entropy(logits, targets, weights)
        each = ops.broadcast_to(sounds[..., None], audio.shape)
        books, frames = losses_lib.cross_entropy(inner["audio_logits"], audio, each)
        total = main + self.audio_weight * books / self.books
        if not training:
            hits = ops.equal(ops.argmax(logits, axis=-1), ops.cast(targets, "int64"))
            heard = ops.argmax(inner["audio_logits"], axis=-1)
            heard = ops.equal(heard, ops.cast(audio, "int64"))
            text = ops.logical_and(own, written)
            inner["metrics"] = {
                "accuracy": losses_lib.weighted_sum(hits, own),
                "cross_entropy": losses_lib.cross_entropy(logits, targets, own),
                "text_accuracy": losses_lib.weighted_sum(hits, text),
                "text_cross_entropy": losses_lib.cross_entropy(logits, targets, text),
                "audio_accuracy": losses_lib.weighted_sum(heard, each),
                "audio_cross_entropy": (books, frames),
            }
        return {"all": (total, count)}, inner

    # -- decoding --------------------------------------------------------------------

    def empty_caches(self, rows: int, slots: int) -> list[Any]:
        return self.decoder.empty_caches(rows, slots, self.compute_dtype)

    def advance(
        self,
        main: Any,
        audio: Any,
        places: Any,
        sensed: Any,
        caches: list[Any],
        *,
        slot: Any,
        present: Any,
    ) -> tuple[Any, list[Any]]:
        """Pushes T slots through, after those in the caches.

        Args:
          main [B, T], audio [B, T, K], places [B, T, 3]: int.
          sensed: uint8 [B, T, F]; not looked at where input is by codes alone.
          slot: int scalar, where the first of them stands in the caches.
          present: bool [B, S], which slots of the caches hold something, those that
            are pushed now included.

        Returns:
          (hidden [B, T, D], new caches); see `write` and `speak`.
        """
        count, total = main.shape[1], present.shape[1]
        own = slot + ops.arange(count, dtype="int32")
        earlier = ops.arange(total, dtype="int32")[None, :] <= own[:, None]  # [T, S]
        x, _, caches = self.decoder(
            self._embed(main, audio, sensed),
            visible=ops.logical_and(present[:, None, :], earlier[None]),
            positions=places,
            caches=caches,
            slot=slot,
        )
        return x, caches

    def write(self, hidden: Any) -> Any:
        """Logits [B, V] of the next slot's main stream, from hidden [B, D]."""
        return self.embedding.logits(hidden[:, None])[:, 0]

    def speak(
        self, hidden: Any, *, temperature: Any, seed: Any, bias: Any = None
    ) -> Any:
        """Codes int [B, K] of the next slot, drawn with temperatures and seeds [B].

        A bias, float [B, K, C], is added to logits: a watermark's.
        """
        shape = (self.books, self.codes)
        noise = seeds.gumbel(shape, seeds.salted(seed, "speak"))
        noise = temperature[:, None, None] * noise
        if bias is not None:
            noise = noise + bias
        if self.depth is not None:
            return self.depth.draw(hidden, noise)
        logits = ops.reshape(self.spoken(hidden), (-1, *shape))
        logits = ops.cast(logits, "float32")
        return ops.cast(ops.argmax(logits + noise, axis=-1), "int32")

    # -- parts -----------------------------------------------------------------------

    def _embed(self, main: Any, audio: Any, sensed: Any) -> Any:
        """[B, T], [B, T, K], [B, T, F] -> [B, T, D]; the sum of a slot's books has the
        variance of one."""
        x = self.embedding(main)
        scale = self.books**-0.5
        for k, table in enumerate(self.heard):
            x = x + scale * table(audio[..., k])
        return x if self.senses is None else x + self.senses(sensed)

    def _audio_logits(self, x: Any, codes: Any) -> Any:
        """[B, T, D] and the codes to tell [B, T, K] -> [B, T, K, C]."""
        rows, count, size = x.shape
        if self.depth is None:
            logits = ops.reshape(self.spoken(x), (rows, count, self.books, self.codes))
            return ops.cast(logits, "float32")
        flat = self.depth(
            ops.reshape(x, (-1, size)), ops.reshape(codes, (-1, self.books))
        )
        return ops.reshape(flat, (rows, count, self.books, self.codes))


class Depth(keras.layers.Layer):
    """The books of one slot, one after another, given what the network made of it."""

    def __init__(
        self, books: int, audio: Feature, *, size: int, num_layers: int
    ) -> None:
        super().__init__(name="depth")
        self.books, self.codes = books, audio.classes
        shape = BlockShape(
            hidden_size=size,
            filter_size=2 * size,
            num_heads=max(1, size // 32),
            activation="swiglu",
            norm="rms",
            position="learned",
            max_length=books,
        )
        self.read = keras.layers.Dense(size, name="read")
        self.before = [
            Embedding(self.codes, size, levels=audio.levels, name=f"before_{k}")
            for k in range(books - 1)
        ]
        self.stack = Stack(
            shape, num_layers=num_layers, causal=True, cross=False, name="stack"
        )
        self.heads = [
            keras.layers.Dense(self.codes, name=f"head_{k}") for k in range(books)
        ]

    def call(self, hidden: Any, codes: Any) -> Any:
        """Hidden [N, D], codes [N, K] -> logits [N, K, C], each of those before."""
        x = self.read(hidden)
        steps = [x]
        for k, table in enumerate(self.before):
            steps.append(x + table(codes[:, k : k + 1])[:, 0])
        x = ops.stack(steps, axis=1)  # [N, K, size]
        ones = ops.ones(x.shape[:2], "int32")
        positions = ops.broadcast_to(ops.arange(self.books, dtype="int32"), x.shape[:2])
        x, _, _ = self.stack(x, segments=ones, positions=positions)
        logits = [head(x[:, k]) for k, head in enumerate(self.heads)]
        return ops.cast(ops.stack(logits, axis=1), "float32")

    def draw(self, hidden: Any, noise: Any) -> Any:
        """Codes [N, K]: each the likeliest after those before, with noise [N, K, C]."""
        codes = ops.zeros((hidden.shape[0], self.books), "int32")
        for k in range(self.books):
            logits = self(hidden, codes)[:, k] + noise[:, k]
            chosen = ops.cast(ops.argmax(logits, axis=-1), "int32")
            place = ops.arange(self.books, dtype="int32") == k
            codes = ops.where(place[None], chosen[:, None], codes)
        return codes


def _next(x: Any) -> Any:
    """[B, T, …] one slot earlier; zeros after the end."""
    return ops.pad(x[:, 1:], [[0, 0], [0, 1], *[[0, 0]] * (len(x.shape) - 2)])
