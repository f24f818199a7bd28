"""The report: one self-contained page of well-formed markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from t2t import registry
from t2t.config import Config
from t2t.run import histograms
from t2t.run.folder import RunFolder, create
from t2t.run.problems import split_examples
from t2t.run.report import write_report

VOID = {"meta"}


class Markup(HTMLParser):
    """Collects tags, attributes and text; unbalanced tags are an error."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.links += [v or "" for n, v in attrs if n in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return create(tmp_path / "a<run>", Config(knobs={"note": "<&>"}), data_dir=None)


def _page(run: RunFolder) -> Markup:
    write_report(run)
    markup = Markup()
    markup.feed(run.report.read_text(encoding="utf-8"))
    assert not markup.open, "every tag is closed"
    return markup


def test_a_whole_report(run: RunFolder) -> None:
    records = [
        {"step": s, "split": split, "seconds": 60.0, "loss": 3.0 / s, "bleu": 2.0 * s}
        for s in (1, 2, 3)
        for split in ("train", "dev")
    ]
    run.metrics.write_text("".join(json.dumps(r) + "\n" for r in records))
    decodes = {
        "step": 3,
        "rows": [["<b>in</b>", "wanted & known", "öut"]],
        "attention": {
            "targets": ["<t>"], "inputs": ["a", "b"], "weights": [[0.25, 0.75]],
        },
    }  # fmt: skip
    (run.path / "decodes.json").write_text(json.dumps(decodes))
    page = _page(run)
    assert page.tags.count("svg") == 3, "loss, scores, attention"
    assert page.tags.count("polyline") == 4, "train and dev, of loss and of bleu"
    assert page.tags.count("rect") == 2
    for text in ("a<run>", "<b>in</b>", "wanted & known", "öut", "<t>", "note = '<&>'"):
        assert text in page.text
    assert "step 3, 1.0 minutes" in page.text


def test_lengths_and_ids_are_counted(run: RunFolder) -> None:
    """Of numbers 'd d d', by hand: length is digits and the end, ids are 2 + digit."""
    problem = registry.current().load("problem", "algorithmic_copy")(max_length=30)
    problem.name = "algorithmic_copy"
    histograms.save(run, problem, data_dir=None, max_length=20)
    record = json.loads(run.histograms.read_text())
    found = split_examples(problem, "train", data_dir=None, limit=1000)
    sizes = [len(e["inputs"]) for e in found]
    told = record["lengths"]["inputs"]
    assert told["longest"] == max(sizes) and told["width"] == 2
    assert told["counts"][5] == sum(s in (10, 11) for s in sizes)
    assert sum(told["counts"]) == record["examples"] == 1000
    used = record["vocabularies"]["targets"]
    assert used["size"] == 14 and used["seen"] == 11, "not padding, +, *"
    assert used["counts"] == [3, 0, 0, 0, 0, 0, 11]
    sevens = sum(int((e["targets"] == 2 + 7).sum()) for e in found)
    assert dict(used["often"])["7"] == sevens
    page = _page(run)
    assert page.tags.count("svg") == 4 and "Length of inputs" in page.text
    assert "some longer than max_length=20" in page.text
    assert "11 of 14 ids occur" in page.text and "2–4" in page.text


def test_lengths_of_one_size(run: RunFolder) -> None:
    assert histograms.lengths([3, 3]) == {
        "counts": [0, 0, 0, 2], "width": 1, "longest": 3, "mean": 3.0,
    }  # fmt: skip


def test_it_needs_nothing_else(run: RunFolder) -> None:
    run.metrics.write_text('{"step": 1, "split": "dev", "seconds": 1, "loss": 1}\n')
    page = _page(run)
    assert not page.links and not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import", run.report.read_text())


@pytest.mark.parametrize("loss", [0.0, 2.0, -1.0])
def test_one_number_is_drawn_too(run: RunFolder, loss: float) -> None:
    record = {"step": 0, "split": "dev", "seconds": 1, "loss": loss}
    run.metrics.write_text(json.dumps(record) + "\n")
    assert _page(run).tags.count("circle") == 1


def test_a_run_that_has_done_nothing_has_a_report(run: RunFolder) -> None:
    assert "Configuration" in _page(run).text
