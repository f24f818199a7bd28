"""Configuration: precedence, checks, and that what is printed parses to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config, ConfigError, Reference, split_knobs


def _load(**given: Any) -> Config:
    given = {"hparams_set": "transformer_test", "problem": "algorithmic_copy"} | given
    return config_lib.load(**given)


@pytest.fixture
def gin_file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gin"
    path.write_text("num_layers = 5\nhidden_size = 48\noptimizer.beta_1 = 0.5\n")
    return path


def test_later_wins(gin_file: Path) -> None:
    assert _load().knob("num_layers") == 2  # the set's own, over what it includes
    from_file = _load(gin_files=[str(gin_file)])
    assert from_file.knob("num_layers") == 5
    knob = _load(gin_files=[str(gin_file)], hparams="num_layers=7")
    assert (knob.knob("num_layers"), knob.knob("hidden_size")) == (7, 48)
    binding = _load(hparams="num_layers=7", gin_params=["transformer.num_layers = 9"])
    assert binding.bindings["transformer", "num_layers"] == 9
    assert binding.knob("num_layers") == 7
    assert from_file.bindings["optimizer", "beta_1"] == 0.5
    assert _load().bindings["optimizer", "beta_1"] == Reference("%optimizer_beta_1")


def test_includes_are_the_packages_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of another version's checkout that we happen to be in."""
    name = "t2t/hparams/base.gin"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("another_version = True\n")
    monkeypatch.chdir(tmp_path)
    assert config_lib.find_file(name) == registry.ZOO / "hparams" / "base.gin"


def test_includes_go_through_several_files() -> None:
    small = _load(hparams_set="transformer_small_modern")
    assert small.knob("norm") == "rms"  # its own
    assert small.knob("hidden_size") == 256  # transformer_small's
    assert small.knob("label_smoothing") == 0.1  # transformer_base's
    assert small.knob("log_frequency") == 100  # base's


def test_files_alone_are_a_configuration(tmp_path: Path, gin_file: Path) -> None:
    whole = tmp_path / "config.gin"
    whole.write_text(_load().text())
    again = config_lib.load(gin_files=[str(whole)])
    assert again.knobs == _load().knobs and again.bindings == _load().bindings


@pytest.mark.parametrize(
    "given, words",
    [
        ({"hparams": "hiden_size=4"}, "'hiden_size'.*Did you mean 'hidden_size'"),
        ({"hparams": "num_layers"}, "name=value, not 'num_layers'"),
        ({"hparams": "num_layers=abc"}, "num_layers is a int .2., not 'abc'"),
        ({"hparams": "num_layers=1.5"}, "whole number .2., not 1.5"),
        ({"hparams": "share_embeddings=1"}, "share_embeddings is a bool"),
        ({"hparams": "norm=1"}, "norm is a str"),
        ({"gin_params": ["hidden_size=3"]}, "wants 'name.argument=value'"),
        ({"gin_params": ["a.b"]}, "wants 'name.argument=value', not 'a.b'"),
        ({"gin_params": ["optimizer.beta_1=%optimiser_beta_1"]}, "not set.*optimizer_"),
        ({"hparams_set": "transformer_tost"}, "hparams set named.*transformer_test"),
        ({"hparams_set": None, "problem": None}, "no configuration: give --problem"),
        ({"problem": "algorithmic_kopy"}, "problem named.*'algorithmic_copy'"),
        ({"problem": None}, "no problem: give --problem"),
        ({"model": "transfomer"}, "model named.*'transformer'"),
        ({"gin_files": ["nowhere.gin"]}, "there is no gin file 'nowhere.gin'"),
    ],
)
def test_mistakes_name_what_is_close(given: dict[str, Any], words: str) -> None:
    with pytest.raises((ConfigError, registry.UnknownName), match=words):
        _load(**given)


@pytest.mark.parametrize(
    "text, words",
    [
        ("a = ", "bad.gin:1 is no gin"),
        ("a = 1\nb = [2\n", "bad.gin:[23] is no gin"),
        ("import os", "only knobs, bindings and includes"),
        ("include 'gone.gin'", "no gin file 'gone.gin'"),
    ],
)
def test_broken_files_name_the_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.gin"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        Config().add_file(path)


def test_a_vanished_argument_is_named() -> None:
    config = _load(gin_params=["optimizer.beta_7 = 1"])
    import t2t.optimizers.optimizers  # noqa: F401

    with pytest.raises(ConfigError, match="optimizer.beta_7 = 1.*beta_7"):
        config.apply(wanted=lambda name: name == "optimizer")
    config = _load(gin_params=["optimiser.beta_1 = 1"])
    with pytest.raises(ConfigError, match="Did you mean 'optimizer'"):
        config.apply(wanted=lambda name: name.startswith("optimi"))


def test_apply_gives_gin_the_values() -> None:
    from t2t.optimizers.schedules import LearningRate

    _load(hparams="learning_rate_constant=0.5").apply(
        wanted=lambda name: name == "learning_rate"
    )
    rate = config_lib.build("learning_rate")()
    assert isinstance(rate, LearningRate) and rate.constant == 0.5
    assert rate.hidden_size == 16
    # What the next configuration does not bind is as it was.
    Config().apply(wanted=lambda name: True)
    assert config_lib.build("learning_rate")() == LearningRate()
    assert gin.config_str() == ""


def test_types_of_knobs() -> None:
    assert split_knobs("a=1,b=2.5,c=[1,2],d='x,y',e=abc,f=True,g=none,h=(1,)") == [
        ("a", 1), ("b", 2.5), ("c", [1, 2]), ("d", "x,y"), ("e", "abc"),
        ("f", True), ("g", None), ("h", (1,)),
    ]  # fmt: skip
    assert split_knobs("  ") == []
    config = _load(hparams="dropout=0,window=3,num_kv_heads=2")
    assert (config.knob("dropout"), config.knob("window")) == (0, 3)


def test_unused_knobs_are_found() -> None:
    config = Config(knobs={"a": 1, "b": Reference("%c"), "c": 2, "problem": "x"})
    config.bindings["f", "x"] = [Reference("%b")]
    assert config.unused_knobs() == {"a"}


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("include", "import", "from")
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | NAMES.map(lambda name: Reference(f"%{name}"))
    | NAMES.map(lambda name: Reference(f"@{name}()")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(
    knobs=st.dictionaries(NAMES, VALUES, max_size=4),
    bindings=st.dictionaries(st.tuples(NAMES, NAMES), VALUES, max_size=4),
    comment=st.sampled_from(["", "one line", "two\n\nlines"]),
)
def test_what_is_printed_parses_to_the_same(
    knobs: dict[str, Any], bindings: dict[tuple[str, str], Any], comment: str
) -> None:
    config = Config(knobs, bindings, comment)
    again = Config()
    again.add_text(config.text(), "printed")
    assert repr(again.knobs) == repr(knobs)
    assert repr(again.bindings) == repr(bindings)
