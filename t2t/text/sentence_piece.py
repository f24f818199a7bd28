"""SentencePiece (Kudo and Richardson, arXiv:1808.06226), made to carry any text.

Notable: text goes in and out unchanged, because normalisation, dummy prefix and
the removal of spaces are off and unknown characters fall back to bytes. What
SentencePiece itself cannot carry is written as SUB (U+001A), hexadecimal code
point, ';': the sign U+2581 that it uses for a space, NUL, lone surrogates, and
SUB. Placeholders such as {name} are ordinary text.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path

import sentencepiece

from t2t.features import EOS, PAD
from t2t.text import files

UNKNOWN = 2
MODEL_TYPES = ("unigram", "bpe")
MOST_TEXTS = 1_000_000  # texts read for training, which hold it under about 1 GB
MOST_CHARACTERS = 1_000  # of one training sentence; SentencePiece drops long ones

_UNCARRIED = re.compile("[\x00\x1a\u2581\ud800-\udfff]")
_ESCAPED = re.compile("\x1a([0-9a-f]{1,6});")

log = logging.getLogger(__name__)


class SentencePiece:
    """A SentencePiece model with ids 0 padding, 1 end of sequence, 2 unknown.

    Args:
      name: stem of the file.
      size: number of ids wanted; a corpus that is too small gives fewer.
      model_type: 'unigram' or 'bpe'.
      byte_fallback: whether characters outside the vocabulary become bytes.
        Without it they are lost.
    """

    suffix = ".model"
    ALIKE = False  # whether a text's first word is a piece like any other word

    def __init__(
        self,
        name: str,
        size: int = 8192,
        *,
        model_type: str = "unigram",
        byte_fallback: bool = True,
    ) -> None:
        if model_type not in MODEL_TYPES:
            raise ValueError(f"model_type is {model_type!r}, not one of {MODEL_TYPES}")
        self.name = name
        self.wanted_size = size
        self.model_type = model_type
        self.byte_fallback = byte_fallback
        self._processor: sentencepiece.SentencePieceProcessor | None = None

    @property
    def built(self) -> bool:
        return self._processor is not None

    @property
    def processor(self) -> sentencepiece.SentencePieceProcessor:
        """SentencePiece's own object, for export."""
        if self._processor is None:
            raise files.not_built(self.name)
        return self._processor

    @property
    def size(self) -> int:
        return self.processor.vocab_size()

    def build(self, texts: Iterable[str]) -> None:
        """Trains on the first million texts; the same texts give the same model.

        Raises:
          ValueError: without texts, or when `size` cannot hold their characters.
        """
        sentences = _sentences(islice(texts, MOST_TEXTS))
        first = next(sentences, None)
        if first is None:
            raise ValueError(f"vocabulary {self.name!r}: there are no texts to learn")
        try:
            model = self._train(chain([first], sentences))
        except RuntimeError as error:
            raise ValueError(
                f"vocabulary {self.name!r} of size {self.wanted_size} cannot be "
                f"trained: {_reason(error)}"
            ) from None
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        if self.size < self.wanted_size:
            log.warning(
                "vocabulary %s has %d ids instead of %d: the corpus gives no more",
                self.name,
                self.size,
                self.wanted_size,
            )

    def _train(self, sentences: Iterator[str]) -> bytes:
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences,
            model_writer=model,
            vocab_size=self.wanted_size,
            model_type=self.model_type,
            byte_fallback=self.byte_fallback,
            character_coverage=0.9995,
            hard_vocab_limit=False,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            add_dummy_prefix=self.ALIKE,
            pad_id=PAD,
            pad_piece="<pad>",
            eos_id=EOS,
            unk_id=UNKNOWN,
            bos_id=-1,
            # Sums are taken by thread, so another number gives another model.
            num_threads=4,
            minloglevel=2,
        )
        return model.getvalue()

    def encode(self, text: str) -> list[int]:
        return self.processor.encode(_UNCARRIED.sub(_escape, text))

    def decode(self, ids: Iterable[int]) -> str:
        kept = takewhile(lambda i: i != EOS, map(int, ids))
        text = self.processor.decode([i for i in kept if PAD != i < self.size])
        return _ESCAPED.sub(_unescape, text)

    def save(self, folder: Path) -> Path:
        model = self.processor.serialized_model_proto()
        return files.write(folder, self.name + self.suffix, model)

    def load(self, folder: Path) -> None:
        model = files.read(folder, self.name + self.suffix)
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """Lines of at most MOST_CHARACTERS characters, escaped."""
    for text in texts:
        for line in _UNCARRIED.sub(_escape, text).splitlines():
            for start in range(0, len(line), MOST_CHARACTERS):
                yield line[start : start + MOST_CHARACTERS]


def _escape(match: re.Match[str]) -> str:
    return f"\x1a{ord(match[0]):x};"


def _unescape(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return chr(code) if code < 0x110000 else "\ufffd"


def _reason(error: RuntimeError) -> str:
    """The sentence of SentencePiece's error that speaks of the data."""
    text = str(error).split("\n")[0].split("] ")[-1]
    sizes = re.search(r"required_chars\. (\d+) vs (\d+)", text)
    return f"the corpus needs at least {sizes[2]} ids" if sizes else text
