"""The tokenizers that come with published weights, as vocabularies.

Ids are put in our order: 0 what comes before the first token (and padding), 1 the end
of a sequence, then all others in theirs. SentencePiece's models are read by its own
library, all else by `tokenizers` (`pip install -e '.[weights]'`).
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import sentencepiece

from t2t.features import EOS, PAD
from t2t.text import files

SPACE = "\u2581"  # as SentencePiece writes it
KINDS = ("tokenizers", "pieces", "marian", "ids")


class Published:
    """A published tokenizer.

    Args:
      name: stem of the file.
      facts: what the file says; None to load it.
        kind: of `KINDS`; 'ids' stands for numbers apart by spaces, where there is no
          tokenizer. content: its files. size: number of their ids. start, end: their
          ids of our 0 and 1. before: their ids that come before every text.
    """

    suffix = ".published"

    def __init__(self, name: str, facts: dict[str, Any] | None = None) -> None:
        self.name, self.facts = name, facts

    @property
    def built(self) -> bool:
        return self.facts is not None

    @property
    def size(self) -> int:
        return len(self.theirs)

    def _fact(self, name: str) -> Any:
        if self.facts is None:
            raise files.not_built(self.name)
        return self.facts[name]

    @functools.cached_property
    def theirs(self) -> list[int]:
        """Their id of each of ours."""
        start, end = self._fact("start"), self._fact("end")
        rest = (i for i in range(self._fact("size")) if i not in (start, end))
        return [start, end, *rest]

    @functools.cached_property
    def _ours(self) -> dict[int, int]:
        return {theirs: i for i, theirs in enumerate(self.theirs)}

    @functools.cached_property
    def _tokenizer(self) -> Any:
        kind, content = self._fact("kind"), self._fact("content")
        if kind == "tokenizers":
            return _tokenizers().Tokenizer.from_str(content)
        if kind == "pieces":
            return Pieces(content)
        return Marian(content) if kind == "marian" else Numbers()

    @property
    def for_targets(self) -> Any:
        """The same ids, cut as the language that is translated into."""
        return _Targets(self) if self._fact_or("kind") == "marian" else self

    def _fact_or(self, name: str) -> Any:
        return None if self.facts is None else self.facts[name]

    def build(self, texts: Iterable[str]) -> None:
        """Raises:
        ValueError: always; it comes with weights.
        """
        raise ValueError(
            "a published vocabulary comes with its weights: t2t-zoo import makes a run"
        )

    def encode(self, text: str, *, target: bool = False) -> list[int]:
        found = self._tokenizer
        if isinstance(found, Pieces | Numbers | Marian):
            ids = found.encode(text, target=target)
        else:
            ids = found.encode(text, add_special_tokens=False).ids
        return [self._ours[i] for i in (*self._fact("before"), *ids)]

    def decode(self, ids: Iterable[int]) -> str:
        kept = takewhile(lambda i: i != EOS, map(int, ids))
        theirs = [self.theirs[i] for i in kept if PAD != i < self.size]
        return self._tokenizer.decode(theirs)

    def save(self, folder: Path) -> Path:
        if self.facts is None:
            raise files.not_built(self.name)
        content = json.dumps(self.facts, ensure_ascii=False)
        return files.write(folder, self.name + self.suffix, content.encode())

    def load(self, folder: Path) -> None:
        self.read(folder / (self.name + self.suffix))

    def read(self, path: Path) -> None:
        """Loads a file of whatever name."""
        self.facts = json.loads(files.read(path.parent, path.name))


class _Targets(Published):
    """What is translated into, of a vocabulary that has two ways to cut."""

    def __init__(self, sources: Published) -> None:
        super().__init__(sources.name, sources.facts)
        self.ids = getattr(sources, "ids", sources)

    def encode(self, text: str, *, target: bool = True) -> list[int]:
        return super().encode(text, target=True)


class Numbers:
    """Ids as text, where weights came without a tokenizer."""

    def encode(self, text: str, *, target: bool = False) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))


class Pieces:
    """A SentencePiece model, whose ids are the weights' own."""

    def __init__(self, content: str) -> None:
        self.model = _sentence_pieces(content)

    def encode(self, text: str, *, target: bool = False) -> list[int]:
        return self.model.encode(text)

    def decode(self, ids: list[int]) -> str:
        return self.model.decode([i for i in ids if i < self.model.vocab_size()])


class Marian:
    """Two SentencePiece models, and one list of all pieces with their ids."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.source, self.target = (
            _sentence_pieces(content[side]) for side in ("source", "target")
        )
        self.ids: dict[str, int] = content["ids"]
        self.pieces = {i: piece for piece, i in self.ids.items()}
        self.special = {"</s>", "<unk>", "<pad>"}

    def encode(self, text: str, *, target: bool = False) -> list[int]:
        model = self.target if target else self.source
        unknown = self.ids["<unk>"]
        # A text may begin with the language to translate into, as in '>>de<< Hello'.
        code, rest = _language(text)
        head = [self.ids[code]] if code in self.ids else []
        pieces = model.encode(rest if head else text, out_type=str)
        return head + [self.ids.get(piece, unknown) for piece in pieces]

    def decode(self, ids: list[int]) -> str:
        kept = (self.pieces.get(i, "<unk>") for i in ids)
        text = "".join(piece for piece in kept if piece not in self.special)
        return text.replace(SPACE, " ").strip()


def _language(text: str) -> tuple[str, str]:
    """'>>de<< Hello' -> ('>>de<<', 'Hello')."""
    if text.startswith(">>") and "<<" in text:
        code, rest = text.split("<<", 1)
        return f"{code}<<", rest.lstrip()
    return "", text


def _sentence_pieces(content: str) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(content))


def found_in(folder: Path, *, lowercase: bool | None = None) -> dict[str, Any]:
    """{'kind', 'content'} of the tokenizer that lies beside weights.

    Args:
      lowercase: of WordPiece; None for what tokenizer_config.json says.

    Raises:
      ImportError: without `tokenizers`, where it is needed.
    """

    def has(*names: str) -> bool:
        return all((folder / name).is_file() for name in names)

    def encoded(name: str) -> str:
        return base64.b64encode((folder / name).read_bytes()).decode()

    if has("source.spm", "target.spm", "vocab.json"):
        ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        content = {"source": encoded("source.spm"), "target": encoded("target.spm")}
        return {"kind": "marian", "content": {**content, "ids": ids}}
    if has("spiece.model"):
        return {"kind": "pieces", "content": encoded("spiece.model")}
    made = None
    if has("tokenizer.json"):
        made = _tokenizers().Tokenizer.from_file(str(folder / "tokenizer.json"))
    elif has("vocab.json", "merges.txt"):
        names = (str(folder / name) for name in ("vocab.json", "merges.txt"))
        made = _tokenizers().ByteLevelBPETokenizer(*names)
    elif has("vocab.txt"):
        lower = _lowercase(folder) if lowercase is None else lowercase
        name = str(folder / "vocab.txt")
        made = _tokenizers().BertWordPieceTokenizer(name, lowercase=lower)
    if made is None:
        return {"kind": "ids", "content": ""}
    return {"kind": "tokenizers", "content": made.to_str()}


def _lowercase(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return bool(said.get("do_lower_case", True))


def written(facts: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of the files that `found_in` reads."""
    kind, content = facts["kind"], facts["content"]
    if kind == "tokenizers":
        yield "tokenizer.json", content.encode()
    elif kind == "pieces":
        yield "spiece.model", base64.b64decode(content)
    elif kind == "marian":
        yield "source.spm", base64.b64decode(content["source"])
        yield "target.spm", base64.b64decode(content["target"])
        yield "vocab.json", json.dumps(content["ids"], ensure_ascii=False).encode()


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ImportError(
            "tokenizers is missing: pip install -e '.[weights]'"
        ) from error
    return tokenizers
