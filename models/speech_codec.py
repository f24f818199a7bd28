"""A causal speech codec: 16 kHz sound as a few codes a frame, and back, as it comes.

Everything runs at 100 frames a second or fewer: the encoder reads log-mel spectra,
the decoder writes magnitudes and phases which an inverse Fourier transform turns
into sound (Siuzdak, Vocos, arXiv:2306.00814), so nothing is computed a sample.
Codes are finite scalars (arXiv:2309.15505) or residual vectors (arXiv:2107.03312).
Where a problem says what is said, codes have to tell that too (as CosyVoice's, which
learn with a recogniser, arXiv:2407.05407): who reads them need not learn to hear.

The surprise: whole and bit by bit are one code path. Each causal part takes what it
saw last and gives it back; without it the sound begins with silence.

Axis letters: B batch, N samples, T frames, K books, D model.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from t2t import knobs, registry
from t2t.features import Feature
from t2t.layers import spectrum
from t2t.layers.causal import CausalStack
from t2t.layers.norm import make_norm
from t2t.layers.quantise import FiniteScalar, Residual
from t2t.losses import Sum, weighted_sum
from t2t.media.tokenizers import plain

RATE = 16_000  # samples a second
HOP = 160  # samples between spectra
BANDS = 80
LETTERS_SIZE = 96  # of what reads letters off the codes, in training only
LOSS_HOPS = (40, 80, 160, 320)  # resolutions at which sounds are compared
DECIBELS = 20.0 / np.log(10.0)  # of a natural logarithm of magnitudes


@registry.model("speech_codec")
class SpeechCodec(keras.Model):
    """Speech to codes [T, K] and back.

    Args:
      features: of the problem; `audio` is int16 [N], N a multiple of the frame;
        `letters`, where they are offered, [N / 160]: the letter that is said.
      frame_rate: frames a second, 25 or 12.5.
      books: K codes a frame.
      levels: of the numbers of a book; their product is its size.
      quantiser: 'finite_scalar', or 'residual' of books as large.
      hidden_size: D of the blocks at the frame rate.
      wave_size: of the blocks at 100 frames a second.
      encoder_blocks, decoder_blocks, wave_blocks: numbers of them.
      letter_weight: of the letters' cross-entropy, beside the distance of spectra.
    """

    FEATURES = {"audio": "audio"}
    METRICS = ("mel_distance_db", "level_db")
    JIT = True
    TOKENIZES = "audio"

    def __init__(
        self,
        features: dict[str, Feature],
        *,
        frame_rate: float = 25.0,
        books: int = 4,
        levels: tuple[int, ...] = (8, 6, 5),
        quantiser: str = "finite_scalar",
        hidden_size: int = 256,
        wave_size: int = 192,
        encoder_blocks: int = 4,
        decoder_blocks: int = 4,
        wave_blocks: int = 3,
        letter_weight: float = 0.1,
    ) -> None:
        arguments = plain(locals())
        super().__init__(name="speech_codec")
        self.arguments = arguments  # a frozen tokenizer is made anew from them
        knobs.check_choice("speech_codec.quantiser", quantiser)
        self.frame_rate, self.books = frame_rate, books
        if (RATE / HOP) % frame_rate:
            raise ValueError(
                f"frame_rate={frame_rate:g}: it must divide the {RATE // HOP} "
                "spectra a second, as 25 and 12.5 do"
            )
        self.stacked = int(RATE / HOP / frame_rate)  # spectra a frame
        self.frame = self.stacked * HOP  # samples
        self.book_size = int(np.prod(levels))
        self.wave_size = wave_size
        dense = keras.layers.Dense
        self.read = dense(hidden_size, name="read")
        self.encoder = CausalStack(hidden_size, blocks=encoder_blocks, name="encoder")
        self.encoder_norm = make_norm("rms", name="encoder_norm")
        if quantiser == "residual":
            size = len(levels) * books
            self.quantiser: Any = Residual(size, books=books, book_size=self.book_size)
        else:
            self.quantiser = FiniteScalar(levels, books=books)
        self.squeeze = dense(self.quantiser.size, name="squeeze")
        self.unsqueeze = dense(hidden_size, name="unsqueeze")
        self.decoder = CausalStack(hidden_size, blocks=decoder_blocks, name="decoder")
        self.spread = dense(self.stacked * wave_size, name="spread")
        self.wave = CausalStack(wave_size, blocks=wave_blocks, name="wave")
        self.wave_norm = make_norm("rms", name="wave_norm")
        bins = 2 * HOP + 1
        self.magnitude = dense(bins, name="magnitude")
        self.phase = dense(2 * bins, name="phase")
        self.mel = spectrum.mel_matrix(BANDS, bins=bins, rate=RATE)
        self.letter_weight = letter_weight
        self.letters: CausalStack | None = None
        if "letters" in features and letter_weight:
            self.spell = dense(LETTERS_SIZE, name="spell")
            self.letters = CausalStack(LETTERS_SIZE, blocks=1, name="letters")
            self.tell = dense(features["letters"].classes, name="tell")
            self.METRICS = (*self.METRICS, "letter_accuracy")

    # -- what it computes ------------------------------------------------------------

    def call(
        self, batch: dict[str, Any], *, training: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """(samples as they come back [B, N], {'codes': [B, T, K], …})."""
        samples = ops.cast(batch["audio"], "float32") / 32768.0
        features, _ = self._read(samples, None)
        vectors, codes, books_loss = self.quantiser(features, training=training)
        heard, _ = self._write(vectors, None)
        # The first three hops stand before the sound's beginning.
        heard = heard[:, (spectrum.OVERLAP - 1) * HOP :]
        inner = {"samples": samples, "codes": codes, "books_loss": books_loss}
        if self.letters is not None:
            x, _ = self.letters(self.spell(vectors), past=None)
            inner["letter_logits"] = ops.cast(self.tell(x), "float32")
        return heard, inner

    def losses(  # type: ignore[override]  # Keras has a property of this name
        self, batch: dict[str, Any], *, training: bool
    ) -> tuple[dict[str, Sum], dict[str, Any]]:
        """({'all': distance of spectra at several resolutions}, inner values)."""
        heard, inner = self(batch, training=training)
        weights = batch["weights"]
        total = inner["books_loss"] * ops.ones_like(weights)
        for hop in LOSS_HOPS:
            total += _distance(inner["samples"], heard, hop) / len(LOSS_HOPS)
        if self.letters is not None:
            # Of a frame the letter that it begins with: what comes is not heard yet.
            said = ops.cast(batch["letters"][:, :: self.stacked], "int32")
            logits = inner["letter_logits"]
            missed = keras.losses.sparse_categorical_crossentropy(
                said, logits, from_logits=True
            )
            total += self.letter_weight * ops.mean(missed, axis=1)
        if not training:
            one, two = (
                spectrum.log_mel(_spectrum(x, HOP), self.mel)
                for x in (inner["samples"], heard)
            )
            distance = DECIBELS * ops.mean(ops.abs(one - two), axis=(1, 2))
            level = DECIBELS * ops.mean(two - one, axis=(1, 2))
            inner["metrics"] = {
                "mel_distance_db": weighted_sum(distance, weights),
                "level_db": weighted_sum(level, weights),
            }
            if self.letters is not None:
                right = ops.equal(ops.argmax(logits, axis=-1), ops.cast(said, "int64"))
                right = ops.mean(ops.cast(right, "float32"), axis=1)
                inner["metrics"]["letter_accuracy"] = weighted_sum(right, weights)
        return {"all": weighted_sum(total, weights)}, inner

    # -- as a tokenizer --------------------------------------------------------------

    def encode(self, samples: Any, past: Any = None) -> tuple[Any, Any]:
        """Samples [B, T·frame] in ±1 -> (codes [B, T, K], the past of what follows)."""
        features, past = self._read(samples, past)
        return self.quantiser(features)[1], past

    def decode(self, codes: Any, past: Any = None) -> tuple[Any, Any]:
        """Codes [B, T, K] -> (samples [B, T·frame], what comes after needs).

        What is given lags by three hops (30 ms): they wait for windows to come. At
        the end another 480 samples lie in past['tail'].
        """
        return self.decode_vectors(self.quantiser.vectors(codes), past)

    def decode_vectors(self, vectors: Any, past: Any = None) -> tuple[Any, Any]:
        """As `decode`, of vectors [B, T, size] that need not be any code's."""
        heard, new = self._write(vectors, past)
        tail = (spectrum.OVERLAP - 1) * HOP
        if past is not None:
            first = heard[:, :tail] + past["tail"]
            heard = ops.concatenate([first, heard[:, tail:]], axis=1)
        return heard[:, :-tail], {**new, "tail": heard[:, -tail:]}

    def _read(self, samples: Any, past: Any) -> tuple[Any, Any]:
        """[B, T·frame] -> features [B, T, size] to quantise."""
        before = (spectrum.OVERLAP - 1) * HOP
        if past is None:
            past = {"samples": ops.zeros((samples.shape[0], before)), "encoder": None}
        samples = ops.concatenate([past["samples"], samples], axis=1)
        parts = spectrum.spectrum(spectrum.frames(samples, HOP))
        mels = spectrum.log_mel(parts, self.mel)  # [B, 4T, bands]
        rows = mels.shape[0]
        stacked = ops.reshape(mels, (rows, -1, self.stacked * BANDS))
        # Of silence -11.5, of loud speech about 3.
        x, encoder = self.encoder(self.read(stacked / 6.0 + 1.0), past=past["encoder"])
        features = self.squeeze(self.encoder_norm(x))
        return features, {"samples": samples[:, -before:], "encoder": encoder}

    def _write(self, vectors: Any, past: Any) -> tuple[Any, Any]:
        """Vectors [B, T, size] -> samples [B, T·frame + 3 hops]; the last overlap."""
        past = past or {"decoder": None, "wave": None}
        x, decoder = self.decoder(self.unsqueeze(vectors), past=past["decoder"])
        x = ops.reshape(self.spread(x), (x.shape[0], -1, self.wave_size))
        x, wave = self.wave(x, past=past["wave"])
        x = self.wave_norm(x)
        magnitude = ops.exp(ops.minimum(ops.cast(self.magnitude(x), "float32"), 6.0))
        phase = ops.cast(self.phase(x), "float32")  # Fourier transforms know no less
        real, imaginary = ops.split(phase, 2, axis=-1)
        scale = magnitude / ops.sqrt(ops.square(real) + ops.square(imaginary) + 1e-6)
        heard = spectrum.overlap_add((scale * real, scale * imaginary), hop=HOP)
        return heard, {"decoder": decoder, "wave": wave}


def _spectrum(samples: Any, hop: int) -> tuple[Any, Any]:
    before = (spectrum.OVERLAP - 1) * hop
    padded = ops.pad(samples, [[0, 0], [before, 0]])
    return spectrum.spectrum(spectrum.frames(padded, hop))


def _distance(wanted: Any, heard: Any, hop: int) -> Any:
    """How far apart two sounds [B, N] are: L1 of log-mel, of magnitudes, by row."""
    bins = 2 * hop + 1
    bands = min(BANDS, bins // 4)
    matrix = spectrum.mel_matrix(bands, bins=bins, rate=RATE)
    one, two = _spectrum(wanted, hop), _spectrum(heard, hop)
    mels = ops.abs(spectrum.log_mel(one, matrix) - spectrum.log_mel(two, matrix))
    sizes = [ops.sqrt(ops.square(r) + ops.square(i) + 1e-9) for r, i in (one, two)]
    linear = ops.mean(ops.abs(sizes[0] - sizes[1]), axis=(1, 2))
    loud = ops.mean(sizes[0], axis=(1, 2)) + 1e-3
    return ops.mean(mels, axis=(1, 2)) + linear / loud
