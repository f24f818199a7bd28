"""Algorithms, digits, documentation strings, and TFDS by its own mocking."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2t import registry
from t2t.media.messages import Text
from t2t.problems import language_model_pydoc, tfds, tfds_images, tfds_text
from t2t.problems.algorithmic import Algorithmic, AlgorithmicSort
from t2t.problems.images import ImageDigits
from t2t.problems.omni import tasks
from t2t.problems.omni.texts import Texts
from t2t.problems.omni_tasks import OmniTasks, OmniText
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable
from t2t.text.passages import passages

ZOO = registry.current()


def _int(digits: str) -> int:
    return int(digits.replace(" ", "")[::-1])


RULES = {
    "copy": lambda s: s,
    "reverse": lambda s: s[::-1],
    "sort": lambda s: " ".join(sorted(s.split())),
    "shift": lambda s: " ".join(str((int(d) + 3) % 10) for d in s.split()),
    "addition": lambda s: " ".join(str(sum(map(_int, s.split("+"))))[::-1]),
    "multiplication": lambda s: " ".join(
        str(_int(s.split("*")[0]) * _int(s.split("*")[1]))[::-1]
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_algorithms(rule: str) -> None:
    problem = ZOO.load("problem", f"algorithmic_{rule}")()
    assert isinstance(problem, Algorithmic)
    rng = np.random.default_rng(0)
    seen: dict[str, set[str]] = {}
    for split in problem.SPLITS:
        for _ in range(150):
            example = problem.example(split, rng)
            assert example["targets"] == RULES[rule](example["inputs"])
            seen.setdefault(split, set()).add(example["inputs"])
    for split in (DEV, TEST, "test_long"):
        assert not seen[split] & seen[TRAIN]


def test_lengths() -> None:
    problem = AlgorithmicSort(min_length=3, max_length=5)
    rng = np.random.default_rng(0)
    trained = {len(problem.example(TRAIN, rng)["inputs"].split()) for _ in range(100)}
    assert trained == {3, 4, 5}
    assert len(problem.example("test_long", rng)["inputs"].split()) == 10
    with pytest.raises(ValueError, match="expected 1 <= min_length <= max_length"):
        AlgorithmicSort(min_length=6, max_length=5)


def test_real_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    problem = ImageDigits()
    found = {s: list(problem.examples(s, tmp_path)) for s in (TRAIN, DEV, TEST)}
    assert sum(map(len, found.values())) == 1797
    assert {e["label"] for e in found[TEST]} == set("0123456789")
    keys = {s: {e["image"].tobytes() for e in found[s]} for s in found}
    assert not keys[TRAIN] & (keys[DEV] | keys[TEST])
    assert max(e["image"].max() for e in found[TRAIN]) == 240


def test_docstrings_by_module(tmp_path: Path) -> None:
    shared = "This sentence stands in every module, word for word."
    for number in range(80):
        word = "".join(chr(97 + int(digit)) for digit in str(number))
        (tmp_path / f"{word}.py").write_text(
            f'"""The module {word} tells what it is about, at some length."""\n'
            f'def f():\n    """{shared}"""\nclass C:\n    "short"\n'
        )
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "t.py").write_text(f'"""{shared} And this is of a test."""')
    found = {
        split: list(language_model_pydoc.split_texts(split, tmp_path))
        for split in (TRAIN, DEV, TEST)
    }
    assert sum(map(len, found.values())) == 81
    assert min(map(len, found.values())) > 0
    assert shared in found[TRAIN]
    with pytest.raises(DataUnavailable, match="no Python sources"):
        list(language_model_pydoc.split_texts(TRAIN, tmp_path / "none"))


def test_passages() -> None:
    found = list(passages(["a" * 25, "", "bb", "cc", "", "", "dd"], longest=10))
    assert found == ["a" * 10, "a" * 10, "aaaaa", "bb\ncc", "dd"]


# -- tensorflow-datasets ----------------------------------------------------------

BY_TFDS = [
    name
    for name in ZOO.names("problem")
    if ZOO.declaration("problem", name).module.startswith("t2t.problems.tfds")
]


@pytest.mark.parametrize("name", BY_TFDS)
def test_real_schemas(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(library.core.DatasetBuilder, "is_prepared", lambda self: True)
    problem = ZOO.load("problem", name)()
    with library.testing.mock_data(num_examples=24, data_dir=str(tmp_path)):
        builder = library.builder(problem.BUILDER)
        if "label" in problem.FEATURES:
            label = builder.info.features["label"]
            assert label.num_classes == len(problem.LABELS)
            # Names of images come with the download; GLUE's stand in the code.
            assert tuple(label.names) == problem.LABELS or name.startswith("image_")
        for split in problem.SPLITS:
            examples = list(problem.examples(split, tmp_path))
            assert examples and set(examples[0]) == set(problem.FEATURES)
            for example in examples[:2]:
                for key, kind in problem.FEATURES.items():
                    wanted = np.ndarray if kind == "image" else str
                    assert isinstance(example[key], wanted)
                    if kind == "image":
                        assert example[key].shape == problem.SHAPE


def test_articles_become_passages() -> None:
    """As Wiki-40B marks them, see its builder's description."""
    text = (
        "\n_START_ARTICLE_\nKöln\n_START_PARAGRAPH_\nA city.\n_START_SECTION_\n"
        "History\n_START_PARAGRAPH_\nRomans came._NEWLINE_Then others."
    ).encode()
    lines = list(tfds_text.article_lines(text))
    assert lines == [
        "",
        "Köln",
        "A city.",
        "",
        "History",
        "Romans came.",
        "Then others.",
    ]
    problem = ZOO.load("problem", "language_model_wiki40b")()
    problem.LONGEST = 25
    assert [e["targets"] for e in problem.converted({"text": text})] == [
        "Köln\nA city.", "History\nRomans came.", "Then others.",
    ]  # fmt: skip


def test_without_network_one_line_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    before = time.monotonic()
    problem = ZOO.load("problem", "translate_ende_wmt14")()
    with pytest.raises(DataUnavailable) as error:
        next(problem.examples(TRAIN, tmp_path))
    assert time.monotonic() - before < tfds.PATIENCE + 5
    for part in (tmp_path, "wmt14_translate/de-en", "translate_ende_interface"):
        assert str(part) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(300, 500, 3), (70, 40, 3), (256, 256, 3)])
def test_middle_of_a_picture(shape: tuple[int, int, int]) -> None:
    picture = np.full(shape, 77, np.uint8)
    cut = tfds_images.middle(picture, 256, 224)
    assert cut.shape == (224, 224, 3) and cut.dtype == np.uint8 and (cut == 77).all()


def test_real_texts_of_omni(tmp_path: Path) -> None:
    """A passage is cut in two between words; a pair is drawn as it is."""
    texts = Texts("train", tmp_path)
    words = [[f"w{n}" for n in range(size)] for size in (12, 13, 40)]
    texts._passages, texts._pairs = words, [("gas", "Gas"), ("cost", "Kosten")]
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        begins, goes_on = (part.split() for part in texts.passage(rng))
        whole = [int(word[1:]) for word in begins + goes_on]
        assert whole == list(range(whole[0], whole[0] + len(whole)))
        assert len(begins) >= 4 and len(goes_on) >= 3 and len(whole) <= 30
        seen.add((whole[0], len(whole)))
    assert len(seen) > 50
    assert {texts.pair(rng) for _ in range(20)} == set(texts._pairs)


def test_text_tasks_have_text_alone(tmp_path: Path) -> None:
    texts = Texts("train", tmp_path)
    texts._passages, texts._pairs = [["word"] * 20], [("gas", "Gas")]
    nothing: Any = None
    world = tasks.World(np.random.default_rng(0), nothing, "train", texts=texts)
    for task, _ in OmniText.TASKS.values():
        asked, answered = task(world)
        assert all(isinstance(p, Text) for m in (asked, answered) for p in m.parts)
        assert answered.modalities == ("text",)
    assert OmniTasks.TASKS.items() >= OmniText.TASKS.items()
