"""The decoder: line N answers line N, whatever the lines are; scores; attention."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import kit
import numpy as np
import pytest

from t2t.config import ConfigError
from t2t.decode.decoder import DecodeError, Decoder
from t2t.decode.options import DecodeOptions, parse

LINES = ["1 2 3", "", "4", "   ", "5 6 7 8 9 0 1 2 3 4", "1 2 3", "9 9"]
GREEDY = DecodeOptions(beam_size=1, extra_length=4, batch_size=2)


class Texts:
    """A problem as far as a decoder looks at it."""

    TARGET = "targets"

    def __init__(self, model: str) -> None:
        self._features = kit.features(model)

    def offered(self) -> Any:
        return self._features


@cache
def _decoder(name: str = "transformer", max_length: int = 16) -> Decoder:
    model = kit.make(name, shallow=True)
    kit.randomise(model)
    return Decoder(Texts(name), model, max_length=max_length)


def test_every_line_has_its_answer() -> None:
    decoder = _decoder()
    outputs = decoder.decode(LINES, GREEDY)
    assert len(outputs) == len(LINES)
    assert outputs[1] == outputs[3] == "", "an empty line has an empty answer"
    assert outputs[0] == outputs[5]
    assert len(set(outputs)) > 3, "the case must be one in which answers differ"
    # Alone, in another order, in another batch: the same.
    assert [decoder.decode([line], GREEDY)[0] for line in LINES] == outputs
    turned = DecodeOptions(beam_size=1, extra_length=4, batch_size=8)
    assert decoder.decode(LINES[::-1], turned) == outputs[::-1]
    assert decoder.decode([]) == []


def test_an_answer_is_at_most_so_much_longer_than_its_line() -> None:
    for line, output in zip(LINES, _decoder().decode(LINES, GREEDY), strict=True):
        assert len(output.split()) <= len(line.split()) + 1 + 4


def test_a_long_line_is_cut_with_a_warning() -> None:
    decoder = _decoder(max_length=6)
    warnings: list[str] = []
    decoder.warn = warnings.append
    long = "1 2 3 4 5 6 7 8"
    found = decoder.decode(["1 2", long], GREEDY)
    assert warnings == ["line 2 has 8 tokens: cut to 5 (the run's max_length)"]
    assert found[1] == decoder.decode(["1 2 3 4 5"], GREEDY)[0]


def test_a_stream_is_answered_as_it_comes() -> None:
    read = 0

    def lines() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield "1"

    first = next(iter(_decoder().outputs(lines(), GREEDY)))
    assert len(first) == 1 and read <= GREEDY.batch_size * 64


@pytest.mark.parametrize("name", kit.models(method="decode_step"))
def test_beams_are_different(name: str) -> None:
    options = DecodeOptions(beam_size=3, alpha=0.0, extra_length=4, return_beams=True)
    decoder = _decoder(name)
    lines = ["1 2 3", "4"]
    if decoder.features["targets"].kind == "pixels":
        lines = ["P3 1 1 255 1 2 3", "P3 1 0 255"]
    for outputs in decoder.outputs(lines, options):
        # Texts may be the same: padding, which only an untrained model writes, is
        # skipped.
        assert len({round(output.score, 4) for output in outputs}) == 3


def test_samples_are_the_seeds() -> None:
    decoder = _decoder()

    def texts(seed: int, lines: list[str], batch_size: int = 4) -> list[list[str]]:
        options = DecodeOptions(
            sampling=True, seed=seed, num_samples=2, extra_length=6,
            batch_size=batch_size,
        )  # fmt: skip
        return [[o.text for o in out] for out in decoder.outputs(lines, options)]

    first = texts(1, ["1 2 3"] * 3)
    assert first == texts(1, ["1 2 3"] * 3) == texts(1, ["1 2 3"] * 3, batch_size=1)
    assert first != texts(2, ["1 2 3"] * 3)
    assert len({text for row in first for text in row}) > 2, "lines have their own"


def test_scores_are_log_chances() -> None:
    decoder = _decoder()
    pairs = [("1 2 3", "3 2 1"), ("4", "4 4 4 4"), ("5", "")]
    found = list(decoder.score(pairs, batch_size=2))
    for pair, score in zip(pairs, found, strict=True):
        batch = decoder.pair_batch([pair], rows=1)
        logits = kit.array(decoder.model(batch)[0])[0]
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        ids = [*kit.DIGITS.encode(pair[1]), 1]
        assert score == pytest.approx(
            sum(logits[i, token] for i, token in enumerate(ids)), abs=1e-3
        )


def test_a_greedy_outputs_score_is_that_of_the_pair() -> None:
    decoder = _decoder()
    options = DecodeOptions(beam_size=1, alpha=0.0, extra_length=12)
    (output,) = next(iter(decoder.outputs(["1 2 3"], options)))
    (score,) = decoder.score([("1 2 3", output.text)])
    if len(output.text.split()) < 15:  # it ended by itself
        assert output.score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", ["transformer", "lstm_seq2seq"])
def test_attention_is_by_piece(name: str) -> None:
    targets, inputs, weights = _decoder(name).attention("1 2 3", "3 2")
    assert (targets, inputs) == (["3", "2", "</s>"], ["1", "2", "3", "</s>"])
    assert weights.shape == (3, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-4)


def test_a_classifier_gives_labels() -> None:
    decoder = _decoder("transformer_encoder")
    outputs = list(decoder.outputs(["1 2", "", "3 4 5"]))
    assert [len(o) for o in outputs] == [1, 1, 1] and outputs[1][0].text == ""
    for out in (outputs[0][0], outputs[2][0]):
        assert out.text in kit.LABELS.labels and -np.log(3) - 1e-3 <= out.score <= 0


def test_what_cannot_be_decoded_says_so() -> None:
    with pytest.raises(DecodeError, match="takes no text to decode"):
        list(_decoder("mlp").outputs(["1"]))
    with pytest.raises(DecodeError, match="from inputs to targets"):
        list(_decoder("transformer_lm").score([("1", "1")]))


def test_threads_share_a_decoder() -> None:
    decoder = _decoder()
    lines = [[f"{i} {j}" for j in range(5)] for i in range(4)]
    alone = [decoder.decode(part, GREEDY) for part in lines]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda part: decoder.decode(part, GREEDY), lines)) == alone


@pytest.mark.parametrize(
    "text, words",
    [
        ("beam_sise=4", "no 'beam_sise'.*'beam_size'"),
        ("beam_size=2.5", "beam_size is a int, not 2.5"),
        ("sampling=1", "sampling is a bool"),
        ("beam_size=0", "at least 1"),
        ("alpha=-1", "at least 0"),
        ("top_p=0", r"top_p in \(0, 1\]"),
        ("temperature=0", "temperature is above 0"),
    ],
)
def test_wrong_options(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(text)


def test_options_are_parsed() -> None:
    options = parse("beam_size=8,alpha=1,sampling=true")
    assert (options.beam_size, options.alpha, options.sampling) == (8, 1.0, True)
    assert parse("") == DecodeOptions()
    assert parse("sampling=True,num_samples=3").outputs == 3
    assert parse("return_beams=True").outputs == 4
