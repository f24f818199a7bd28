"""Vocabularies as TensorFlow graphs: a SavedModel that takes and gives strings.

Bytes, symbols, labels and Tensor2Tensor's subwords, the same ids and the same text as
in `t2t.text`, of one string at a time. SentencePiece has no such graph: models with
one take and give ids, see `t2t.export.clients`.

Axis letters: N characters, M ids.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

from t2t.features import EOS, PAD
from t2t.text import Bytes, ClassLabels, Subwords, Symbols, subwords
from t2t.text.bytes import RESERVED

MARK = b"\xff"  # in no UTF-8
UNDEFINED = "\u3013"  # what `Subwords` shows for an impossible code point
CODES = 0x110000


def strings(vocabulary: Any) -> Any | None:
    """The graph of a vocabulary; None where there is none."""
    for kind, graph in GRAPHS.items():
        if isinstance(vocabulary, kind):
            return graph(vocabulary)
    return None


def kept(ids: Any) -> Any:
    """int [M] -> what stands before the first end of sequence, without padding."""
    ended = tf.cumsum(tf.cast(tf.equal(ids, EOS), tf.int32))
    return tf.boolean_mask(ids, tf.equal(ended, 0) & tf.not_equal(ids, PAD))


class BytesGraph(tf.Module):
    """`t2t.text.Bytes`; what is no UTF-8 becomes U+FFFD."""

    def __init__(self, vocabulary: Bytes) -> None:
        super().__init__()
        self.letters = tf.constant([bytes([byte]) for byte in range(256)])

    def encode(self, text: Any) -> Any:
        """string [] -> int32 [M]."""
        return tf.cast(tf.io.decode_raw(text, tf.uint8), tf.int32) + RESERVED

    def decode(self, ids: Any) -> Any:
        """int32 [M] -> string []."""
        text = tf.strings.reduce_join(tf.gather(self.letters, kept(ids) - RESERVED))
        return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")


class SymbolsGraph(tf.Module):
    """`t2t.text.Symbols`; a symbol that is not of the list is an error."""

    def __init__(self, vocabulary: Symbols) -> None:
        super().__init__()
        self.symbols = tf.constant(["", "", *vocabulary.symbols])
        ids = range(RESERVED, vocabulary.size)
        self.ids = _table(dict(zip(vocabulary.symbols, ids, strict=True)), -1)

    def encode(self, text: Any) -> Any:
        """string [] -> int32 [M]."""
        ids = self.ids.lookup(tf.strings.split(text))
        wrong = tf.debugging.assert_non_negative(ids, "a symbol is not of the list")
        with tf.control_dependencies([wrong] if wrong is not None else []):
            return tf.identity(ids)

    def decode(self, ids: Any) -> Any:
        """int32 [M] -> string []."""
        return tf.strings.reduce_join(tf.gather(self.symbols, kept(ids)), separator=" ")


class LabelsGraph(tf.Module):
    """`t2t.text.ClassLabels`, which are only told."""

    def __init__(self, vocabulary: ClassLabels) -> None:
        super().__init__()
        self.labels = tf.constant(list(vocabulary.labels))

    def decode(self, ids: Any) -> Any:
        """int32 [1] -> string []."""
        return tf.gather(self.labels, ids[0])


class SubwordsGraph(tf.Module):
    """`t2t.text.Subwords`: the same cuts, escapes and longest matches."""

    def __init__(self, vocabulary: Subwords) -> None:
        super().__init__()
        subtokens = vocabulary.subtokens
        self.subtokens = tf.constant(["", "", *subtokens[2:]])
        # The reserved entries are never the encoding of a text.
        ids = {s: i for i, s in enumerate(subtokens) if i > EOS and s}
        self.longest = max(map(len, ids), default=1)
        self.ids = _table(ids, -1)
        letters = {c for s in subtokens for c in s} | set("\\_u;0123456789")
        escapes = {c: c for c in letters - {"\n"}} | {"\\": "\\\\", "_": "\\u"}
        self.escapes = _table(escapes, "")
        self.turns = tf.constant(_turns(), tf.int32)

    def _alphanumeric(self, codes: Any) -> Any:
        return tf.searchsorted(self.turns, codes, side="right") % 2 == 1

    def encode(self, text: Any) -> Any:
        """string [] -> int32 [M]."""
        letters = tf.strings.unicode_split(text, "UTF-8")
        codes = tf.strings.unicode_decode(text, "UTF-8")  # [N]
        kinds = self._alphanumeric(codes)
        turns = tf.not_equal(kinds[1:], kinds[:-1])
        edge = tf.ones_like(kinds[:1])
        ends = tf.concat([turns, edge], 0)
        # One space between two other runs is left out.
        inner = tf.concat([~edge, turns[:-1] & turns[1:], ~edge], 0)[: tf.size(codes)]
        number = tf.strings.join(["\\", tf.strings.as_string(codes), ";"])
        escaped = self.escapes.lookup(letters)
        escaped = tf.where(escaped == "", number, escaped)
        escaped = tf.strings.join([escaped, tf.where(ends, "_", "")])
        escaped = tf.where(inner & (letters == " "), "", escaped)
        return self._longest_matches(tf.strings.reduce_join(escaped))

    def _longest_matches(self, escaped: Any) -> Any:
        """From the left the longest known subtoken: string [] -> int32 [M]."""
        size = tf.strings.length(escaped, unit="UTF8_CHAR")
        lengths = tf.range(self.longest, 0, -1)

        def match(start: Any, found: Any) -> tuple[Any, Any]:
            starts = tf.fill([self.longest], start)
            texts = tf.fill([self.longest], escaped)
            texts = tf.strings.substr(texts, starts, lengths, unit="UTF8_CHAR")
            ids = self.ids.lookup(texts)
            best = tf.argmax(ids >= 0)
            taken = tf.strings.length(texts[best], unit="UTF8_CHAR")
            return start + taken, tf.concat([found, ids[best][None]], 0)

        _, ids = tf.while_loop(
            lambda start, found: start < size,
            match,
            (tf.constant(0), tf.zeros([0], tf.int32)),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
        )
        return ids

    def decode(self, ids: Any) -> Any:
        """int32 [M] -> string []."""
        joined = tf.strings.reduce_join(tf.gather(self.subtokens, kept(ids)))
        tokens = _unescaped(tf.strings.split(joined, "_"))
        tokens = tf.boolean_mask(tokens, tf.not_equal(tokens, ""))
        first = tf.strings.unicode_decode(
            tf.strings.substr(tokens, 0, 1, unit="UTF8_CHAR"), "UTF-8"
        ).to_tensor(shape=[None, 1])[:, 0]
        words = self._alphanumeric(first)
        apart = tf.where(words[1:] & words[:-1], " ", "")
        apart = tf.concat([tf.fill([tf.size(tokens)], "")[:1], apart], 0)
        apart = apart[: tf.size(tokens)]
        return tf.strings.reduce_join(tf.strings.join([apart, tokens]))


GRAPHS: dict[type, type] = {
    Bytes: BytesGraph,
    Symbols: SymbolsGraph,
    Subwords: SubwordsGraph,
    ClassLabels: LabelsGraph,
}


def _unescaped(tokens: Any) -> Any:
    """`subwords.unescape` of each: string [N] -> string [N]."""
    marked = tf.strings.regex_replace(
        tokens, r"\\u|\\\\|\\[0-9]+;", MARK + rb"\0" + MARK
    )
    parts = tf.strings.split(marked, MARK)  # every second one is an escape
    flat = parts.flat_values
    place = tf.ragged.range(parts.row_lengths()).flat_values
    number = tf.strings.regex_replace(flat, r"^\\([0-9]{1,7});$", r"\1")
    number = tf.where(tf.strings.regex_full_match(number, "[0-9]+"), number, "9999999")
    code = tf.strings.to_number(number, tf.int32)
    letter = tf.strings.unicode_encode(
        tf.where(code < CODES, code, 32)[:, None], "UTF-8"
    )
    meant = tf.where(code < CODES, letter, UNDEFINED)
    meant = tf.where(flat == "\\\\", "\\", tf.where(flat == "\\u", "_", meant))
    flat = tf.where(place % 2 == 1, meant, flat)
    return tf.strings.reduce_join(parts.with_flat_values(flat), axis=-1)


def _table(entries: dict[str, Any], default: Any) -> tf.lookup.StaticHashTable:
    dtype = tf.string if isinstance(default, str) else tf.int32
    keys, values = list(entries), list(entries.values())
    initializer = tf.lookup.KeyValueTensorInitializer(keys, values, tf.string, dtype)
    return tf.lookup.StaticHashTable(initializer, default)


@lru_cache(1)
def _turns() -> list[int]:
    """Code points at which letters and numbers begin, and end, in turn."""
    kinds = np.array([subwords.alphanumeric(chr(code)) for code in range(CODES)])
    assert not kinds[0] and unicodedata.category("\0") == "Cc"
    return (np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist()
