"""Text to ids and back: bytes, SentencePiece, subwords, symbols, labels, columns.

All satisfy `t2t.features.Vocabulary`. Every string makes the round trip exactly
through bytes, SentencePiece (with byte fallback) and subwords.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from t2t import registry
from t2t.features import Vocabulary
from t2t.text.bytes import Bytes
from t2t.text.columns import Columns
from t2t.text.pixels import Pixels
from t2t.text.published import Published
from t2t.text.sentence_piece import SentencePiece
from t2t.text.subwords import Subwords
from t2t.text.symbols import ClassLabels, Symbols

__all__ = [
    "Bytes",
    "ClassLabels",
    "Columns",
    "Pixels",
    "Published",
    "SentencePiece",
    "Subwords",
    "Symbols",
    "vocabulary",
]

KINDS: dict[str, Callable[[str, int], Vocabulary]] = {
    "unigram": lambda name, size: SentencePiece(name, size),
    "bpe": lambda name, size: SentencePiece(f"{name}.bpe", size, model_type="bpe"),
    "subwords": lambda name, size: Subwords(name, size),
    "bytes": lambda name, size: Bytes(),
}


def vocabulary(kind: str, name: str, *, size: int = 8192) -> Vocabulary:
    """A vocabulary by the name of its kind, its file named after its size.

    Args:
      kind: 'unigram', 'bpe' (both SentencePiece), 'subwords' or 'bytes'; or the file
        of a published one, as `t2t-zoo import` writes it, or a Tensor2Tensor's
        `vocab.*` of subwords.
      name: of whose texts it is built, such as 'translate_ende_interface'.

    Raises:
      ValueError: when there is no such kind.
    """
    if kind.endswith(Published.suffix):
        published, path = Published(f"{name}.text"), Path(kind)
        if path.is_file():
            published.read(path)
        return published
    if Path(kind).name.startswith("vocab."):
        subwords = Subwords(f"{name}.theirs")
        if Path(kind).is_file():  # else the run has it
            subwords.read(Path(kind))
        return subwords
    if kind not in KINDS:
        raise ValueError(
            f"vocabulary={kind!r} is not one of {', '.join(KINDS)}."
            + registry.close_to(kind, KINDS)
        )
    return KINDS[kind](f"{name}.{size}", size)
