"""Translation, language modelling, summaries and GLUE from tensorflow-datasets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from t2t import registry
from t2t.problems import made_up
from t2t.problems.problem import DEV, TEST, TRAIN, Example
from t2t.problems.tasks import LanguageModel, TextClass, TextToText
from t2t.problems.tfds import TfdsProblem, decoded
from t2t.text.passages import passages


class TfdsTextToText(TextToText, TfdsProblem):
    """Two texts of a row; `COLUMNS` names the input's and the target's."""

    COLUMNS = ("", "")
    VOCABULARY_SIZE = 32768
    SPLITS = {TRAIN: 100, DEV: 1, TEST: 1}
    SUBSTITUTE = "translate_ende_interface"

    def convert(self, row: dict[str, Any]) -> Example:
        inputs, targets = (decoded(row[column]) for column in self.COLUMNS)
        return {"inputs": inputs, "targets": targets}

    def fake(self, split: str) -> Any:
        for english, german in made_up.pairs(split):
            yield {"inputs": english, "targets": german}


@registry.problem
class TranslateEndeWmt14(TfdsTextToText):
    """English to German, WMT 2014 (4.5 million pairs), by TFDS."""

    BUILDER = "wmt14_translate/de-en"
    COLUMNS = ("en", "de")


@registry.problem
class TranslateEnfrWmt14(TfdsTextToText):
    """English to French, WMT 2014 (40 million pairs), by TFDS."""

    BUILDER = "wmt14_translate/fr-en"
    COLUMNS = ("en", "fr")
    SUBSTITUTE = "translate_enfr_interface"


@registry.problem
class TranslateEndeWmt16(TfdsTextToText):
    """English to German, WMT 2016 (4.5 million pairs), by TFDS."""

    BUILDER = "wmt16_translate/de-en"
    COLUMNS = ("en", "de")


@registry.problem
class TranslateEnptTed(TfdsTextToText):
    """English to Portuguese, TED talks (52 000 pairs), by TFDS."""

    BUILDER = "ted_hrlr_translate/pt_to_en"
    COLUMNS = ("en", "pt")
    VOCABULARY_SIZE = 8192
    SUBSTITUTE = "translate_enes_interface"


@registry.problem
class SummarizeCnnDailymail(TfdsTextToText):
    """Summaries of news articles, CNN and Daily Mail (287 000), by TFDS."""

    BUILDER = "cnn_dailymail"
    COLUMNS = ("article", "highlights")
    METRICS = ("chrf",)
    SUBSTITUTE = "text2text_files"


@registry.problem
class QuestionSquad(TfdsTextToText):
    """Questions about passages of Wikipedia, answered from them, SQuAD 1.1, by TFDS.

    The question stands on the first line, the passage on the second; of several
    answers the first is the target. Its test set is not public.
    """

    BUILDER = "squad/v1.1"
    SOURCES = {TRAIN: "train", DEV: "validation"}
    SPLITS = {TRAIN: 20, DEV: 2}
    METRICS = ("sequence_accuracy", "chrf")
    SUBSTITUTE = "text2text_files"

    def convert(self, row: dict[str, Any]) -> Example:
        question, passage = decoded(row["question"]), decoded(row["context"])
        answer = decoded(row["answers"]["text"][0])
        return {"inputs": f"{question}\n{passage}", "targets": answer}

    def fake(self, split: str) -> Any:
        for english, _ in made_up.pairs(split):
            thing = english.split()[1]
            yield {"inputs": f"What is it about?\n{english}", "targets": thing}


@registry.problem("language_model_lm1b")
class LanguageModelLm1b(LanguageModel, TfdsProblem):
    """English sentences in random order, One Billion Words, by TFDS."""

    BUILDER = "lm1b"
    SOURCES = {TRAIN: "train", DEV: "train", TEST: "test"}
    DEV_EVERY = 1000
    VOCABULARY_SIZE = 32768
    SPLITS = {TRAIN: 100, DEV: 1, TEST: 1}
    SUBSTITUTE = "language_model_pydoc_subwords"

    def convert(self, row: dict[str, Any]) -> Example:
        return {"targets": decoded(row["text"])}

    def fake(self, split: str) -> Any:
        for sentence in made_up.sentences(split):
            yield {"targets": sentence}


@registry.problem("language_model_wiki40b")
class LanguageModelWiki40b(LanguageModel, TfdsProblem):
    """Passages of English Wikipedia, 2.9 million articles, Wiki-40B, by TFDS.

    Titles of articles and sections stand on lines of their own.
    """

    BUILDER = "wiki40b/en"
    VOCABULARY_SIZE = 32768
    SPLITS = {TRAIN: 100, DEV: 5, TEST: 5}
    SUBSTITUTE = "language_model_pydoc_subwords"
    LONGEST = 1200  # characters of a passage

    def converted(self, row: dict[str, Any]) -> Iterator[Example]:
        for passage in passages(article_lines(row["text"]), longest=self.LONGEST):
            if passage.strip():
                yield {"targets": passage}

    def fake(self, split: str) -> Any:
        for sentence in made_up.sentences(split):
            yield {"targets": sentence}


def article_lines(text: bytes) -> Iterator[str]:
    """The lines of an article of Wiki-40B, a blank one before each heading."""
    heading = False
    for line in decoded(text).split("\n"):
        if line in ("_START_ARTICLE_", "_START_SECTION_"):
            heading = True
        elif line and line != "_START_PARAGRAPH_":
            if heading:
                yield ""
            heading = False
            yield from line.split("_NEWLINE_")


class Glue(TextClass, TfdsProblem):
    """A GLUE task (arXiv:1804.07461): one sentence or two, on a line each.

    The labels of the test sets are not public, so there is train and dev only.
    """

    COLUMNS: tuple[str, ...] = ("sentence",)
    SOURCES = {TRAIN: "train", DEV: "validation"}
    SPLITS = {TRAIN: 10, DEV: 1}
    SUBSTITUTE = "text_class_files"

    def convert(self, row: dict[str, Any]) -> Example:
        text = "\n".join(decoded(row[column]) for column in self.COLUMNS)
        return {"inputs": text, "label": self.LABELS[int(row["label"])]}

    def fake(self, split: str) -> Any:
        for text, label in made_up.labelled(split, self.LABELS):
            yield {"inputs": "\n".join([text] * len(self.COLUMNS)), "label": label}


@registry.problem
class GlueCola(Glue):
    """Is the sentence grammatical? CoLA of GLUE, by TFDS."""

    BUILDER = "glue/cola"
    LABELS = ("unacceptable", "acceptable")


@registry.problem("glue_sst2")
class GlueSst2(Glue):
    """Is the review good or bad? SST-2 of GLUE, by TFDS."""

    BUILDER = "glue/sst2"
    LABELS = ("negative", "positive")


@registry.problem
class GlueMrpc(Glue):
    """Do two sentences say the same? MRPC of GLUE, by TFDS."""

    BUILDER = "glue/mrpc"
    COLUMNS = ("sentence1", "sentence2")
    LABELS = ("not_equivalent", "equivalent")


@registry.problem
class GlueQqp(Glue):
    """Do two questions ask the same? QQP of GLUE, by TFDS."""

    BUILDER = "glue/qqp"
    COLUMNS = ("question1", "question2")
    LABELS = ("not_duplicate", "duplicate")


@registry.problem
class GlueMnli(Glue):
    """Does the premise entail the hypothesis? MNLI of GLUE, matched, by TFDS."""

    BUILDER = "glue/mnli"
    COLUMNS = ("premise", "hypothesis")
    LABELS = ("entailment", "neutral", "contradiction")
    SOURCES = {TRAIN: "train", DEV: "validation_matched"}


@registry.problem
class GlueQnli(Glue):
    """Does the sentence answer the question? QNLI of GLUE, by TFDS."""

    BUILDER = "glue/qnli"
    COLUMNS = ("question", "sentence")
    LABELS = ("entailment", "not_entailment")


@registry.problem
class GlueRte(Glue):
    """Does the first sentence entail the second? RTE of GLUE, by TFDS."""

    BUILDER = "glue/rte"
    COLUMNS = ("sentence1", "sentence2")
    LABELS = ("entailment", "not_entailment")


@registry.problem
class GlueWnli(Glue):
    """Is the pronoun's referent right? WNLI of GLUE, by TFDS."""

    BUILDER = "glue/wnli"
    COLUMNS = ("sentence1", "sentence2")
    LABELS = ("not_entailment", "entailment")
