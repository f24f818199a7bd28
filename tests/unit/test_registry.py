"""The registry: names, suffixes, duplicates, plug-ins whole and broken, provenance."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from t2t import registry
from t2t.registry import DuplicateName, Registry, UnknownName

PLUGIN = '''"""Plug-in. After Somebody (arXiv:2001.12345)."""
from t2t import registry
from t2t.problems.algorithmic import Algorithmic, AlgorithmicCopy


@registry.problem
class {name}(AlgorithmicCopy):
    """Copies, too."""
'''


def _plugin(folder: Path, name: str, text: str = PLUGIN) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{registry.snake_case(name)}.py"
    path.write_text(text.format(name=name))
    return path


@pytest.mark.parametrize(
    "name, snake",
    [
        ("TranslateEnde", "translate_ende"),
        ("TransformerLM", "transformer_lm"),
        ("LSTMSeq2Seq", "lstm_seq2_seq"),
        ("Cifar10", "cifar10"),
        ("A", "a"),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert registry.snake_case(name) == snake


@pytest.mark.parametrize(
    "name, base, suffixes",
    [
        ("a", "a", ()),
        ("a_rev", "a", ("_rev",)),
        ("a_rev_copy", "a", ("_rev", "_copy")),
        ("a_copy_rev_rev", "a", ("_copy", "_rev", "_rev")),
        ("_rev", "_rev", ()),
        ("a_review", "a_review", ()),
    ],
)
def test_suffixes(name: str, base: str, suffixes: tuple[str, ...]) -> None:
    assert registry.split_suffixes(name) == (base, suffixes)


def test_suffixes_of_problems(zoo: Registry) -> None:
    # A registered name is whole: algorithmic_copy is no copy of algorithmic.
    assert zoo.declaration("problem", "algorithmic_copy").name == "algorithmic_copy"
    assert registry.split_suffixes("algorithmic_copy_rev") == (
        "algorithmic_copy",
        ("_rev",),
    )
    assert zoo.declaration("problem", "algorithmic_copy_rev").name == "algorithmic_copy"
    reverse = zoo.declaration("problem", "algorithmic_reverse_rev_copy")
    assert reverse.name == "algorithmic_reverse"
    with pytest.raises(UnknownName, match="for problems with inputs and targets"):
        zoo.declaration("problem", "image_digits_rev")
    with pytest.raises(UnknownName):
        zoo.declaration("model", "transformer_rev")


def test_unknown_names_are_met_with_close_ones(zoo: Registry) -> None:
    with pytest.raises(
        UnknownName, match="no model named 'transfromer'.*'transformer'"
    ):
        zoo.declaration("model", "transfromer")
    with pytest.raises(UnknownName, match="hparams set named 'zzz'.*t2t-zoo list"):
        zoo.declaration("hparams_set", "zzz")


def test_provenance(zoo: Registry) -> None:
    declared = zoo.declaration("model", "transformer")
    assert (
        declared.file.name == "transformer.py" and declared.paper == "arXiv:1706.03762"
    )
    assert (
        "class Transformer("
        in declared.file.read_text().splitlines()[declared.line - 1]
    )
    assert declared.summary.startswith("Encoder-decoder Transformer")
    assert zoo.features(declared) == {"inputs": "text", "targets": "text"}
    assert zoo.declaration("hparams_set", "transformer_big").paper == "arXiv:1706.03762"


def test_listing_imports_no_tensorflow() -> None:
    code = (
        "import sys; from t2t import registry; r = registry.current(); "
        "assert r.names('model') and r.names('problem') and r.names('hparams_set'); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_usr_dir_adds_names(zoo: Registry, tmp_path: Path) -> None:
    path = _plugin(tmp_path, "EchoOfAPlugin")
    (tmp_path / "echo_set.gin").write_text("# A set (arXiv:1234.56789).\na = 1\n")
    zoo.add_usr_dir(tmp_path)
    declared = zoo.declaration("problem", "echo_of_a_plugin_rev")
    assert declared.file == path and declared.paper == "arXiv:2001.12345"
    assert zoo.features(declared) == {"inputs": "text", "targets": "text"}
    assert zoo.declaration("hparams_set", "echo_set").paper == "arXiv:1234.56789"
    assert zoo.load("problem", "echo_of_a_plugin").__name__ == "EchoOfAPlugin"
    zoo.add_usr_dir(tmp_path)  # twice is once
    assert len(zoo.usr_dirs) == 1


def test_a_broken_plugin_takes_nothing_down(zoo: Registry, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    _plugin(tmp_path, "StillHere")
    zoo.add_usr_dir(tmp_path)
    assert [u.place for u in zoo.unread] == [str(broken)]
    assert "still_here" in zoo.names("problem")
    with pytest.raises(UnknownName, match="unread: .*broken.py"):
        zoo.declaration("problem", "what_broken_held")


def test_a_plugin_that_fails_on_import_is_named(zoo: Registry, tmp_path: Path) -> None:
    text = PLUGIN + "\nimport a_package_that_is_not_there\n"
    _plugin(tmp_path, "FailsLater", text)
    zoo.add_usr_dir(tmp_path)
    with pytest.raises(ImportError, match="'fails_later'.*fails_later.py.*not_there"):
        zoo.load("problem", "fails_later")


def test_duplicates_name_both_places(zoo: Registry, tmp_path: Path) -> None:
    path = _plugin(tmp_path, "AlgorithmicSort")
    with pytest.raises(DuplicateName, match=r"algorithmic\.py:\d+ and ") as caught:
        zoo.add_usr_dir(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("holds", [None, "notes.txt"])
def test_usr_dirs_with_nothing_to_read(
    zoo: Registry, tmp_path: Path, holds: str | None
) -> None:
    folder = tmp_path / "usr"
    if holds:
        folder.mkdir()
        (folder / holds).touch()
    with pytest.raises(UnknownName, match="no such folder|no .py and no .gin"):
        zoo.add_usr_dir(folder)


def test_entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _plugin(tmp_path / "pointed", "FromAnEntryPoint")
    (tmp_path / "pointed" / "__init__.py").touch()
    (tmp_path / "broken_pointed.py").write_text("(")
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        importlib.metadata.EntryPoint(n, v, registry.ENTRY_POINT_GROUP)
        for n, v in (
            ("good", "pointed"),
            ("broken", "broken_pointed"),
            ("gone", "no_such_module_here"),
        )
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    zoo = Registry()
    assert "from_an_entry_point" in zoo.names("problem")
    assert [u.place for u in zoo.unread] == ["plug-in broken", "plug-in gone"]
    assert zoo.load("problem", "from_an_entry_point").__module__.startswith("pointed.")


def test_the_second_copy_of_the_zoo_is_refused() -> None:
    class Twice:
        __module__ = "models.transformer"

    with pytest.raises(DuplicateName, match="import t2t.models.transformer instead"):
        registry.model(Twice)
