"""Tensor2Tensor's names lead to ours, wherever one may be given."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from t2t import config as config_lib
from t2t import knobs, old_names
from t2t.config import Config, ConfigError
from t2t.registry import Registry, UnknownName

KINDS = ("model", "hparams_set", "problem")
ALL = [(kind, old) for kind in KINDS for old in old_names.TABLES[kind]]


@pytest.mark.parametrize("kind, old", ALL)
def test_an_old_name_leads_to_one_that_there_is(
    kind: str, old: str, zoo: Registry
) -> None:
    new, beside = old_names.TABLES[kind][old]
    assert old not in zoo.names(kind), "served under its own name: nothing to tell"
    declaration = zoo.declaration(kind, new)
    with pytest.raises(UnknownName, match=f"Tensor2Tensor's {old} is {new}") as caught:
        zoo.declaration(kind, old)
    assert "Did you mean" not in str(caught.value)
    if beside.startswith("+ "):
        name = beside.removeprefix("+ ").split("=")[0]
        if kind == "hparams_set":
            config = Config()
            config.add_file(declaration.file)
            config.add_knobs(beside.removeprefix("+ "))
            assert name in config.knobs
        else:
            assert name in inspect.signature(zoo.load(kind, new)).parameters


def test_what_is_needed_beside_it_is_a_flag() -> None:
    assert old_names.told("hparams_set", "transformer_l2") == (
        " Tensor2Tensor's transformer_l2 is transformer_base with "
        "--hparams=num_layers=2 here."
    )
    assert old_names.told("problem", "translate_ende_wmt8k").endswith(
        'with --gin_param="translate_ende_wmt14.vocabulary_size=8192" here.'
    )
    assert old_names.told("model", "transformer") == ""


@pytest.mark.parametrize("old", old_names.TABLES["knob"])
def test_old_knobs(old: str) -> None:
    config = config_lib.load(hparams_set="transformer_base", problem="algorithmic_copy")
    new, _ = old_names.TABLES["knob"][old]
    assert new in config.knobs and old not in config.knobs
    with pytest.raises(ConfigError, match=f"Tensor2Tensor's {old} is {new} here"):
        config.set_knob(old, 1)


@pytest.mark.parametrize("old", old_names.TABLES["position"])
def test_old_positions(old: str) -> None:
    new, _ = old_names.TABLES["position"][old]
    assert new in knobs.CHOICES["blocks.position"]
    with pytest.raises(ValueError, match=f"{old} is {new} here. It takes"):
        knobs.check_choice("blocks.position", old)


def test_the_command_line_tells() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "t2t.bin.zoo", "show", "attention_lm"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Tensor2Tensor's attention_lm is transformer_lm here." in done.stderr
