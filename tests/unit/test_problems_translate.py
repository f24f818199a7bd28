"""Parallel corpora: the split rule, and interface texts of a made-up mini wheel."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2t.problems import holdout, translate_interface, wheels
from t2t.problems.holdout import Pair
from t2t.problems.problem import DEV, TEST, TRAIN, DataUnavailable

SPLITS = (TRAIN, DEV, TEST)
WORD = st.sampled_from(["door", "Door", "lamp", "lamps", "on", "{x}", "7", "!"])
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
PAIRS = st.lists(st.builds(Pair, TEXT, TEXT, st.sampled_from("abcdefgh")), max_size=40)


@given(pairs=PAIRS)
def test_no_split_knows_another(pairs: list[Pair]) -> None:
    split_of = holdout.split_by(0.3)
    found = {s: list(holdout.pairs_of(s, lambda: pairs, split_of)) for s in SPLITS}
    assert found[TRAIN] == [p for p in pairs if split_of(p) == TRAIN]
    assert not holdout.leaks(found[TRAIN], found[DEV] + found[TEST])
    assert not holdout.leaks(found[TEST], found[DEV])
    for split in (DEV, TEST):
        sources = [holdout.near(p.source) for p in found[split]]
        assert len(set(sources)) == len(sources)


def test_leaks_are_found_on_either_side() -> None:
    train = [Pair("Turn the lamp 3 on!", "Lampe an", "")]
    held_out = [
        Pair("turn the LAMP 4 on", "x", ""),
        Pair("y", "lampe (an)", ""),
        Pair("Turn the lamp off", "Lampe aus", ""),
    ]
    assert holdout.leaks(train, held_out) == held_out[:2]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Port 80", "port {number}", True),
        ("The <b>lamp</b>.", "the lamp", True),
        ("42", "43", False),
        ("lamp", "lamps", False),
    ],
)
def test_near_copies(one: str, other: str, equal: bool) -> None:
    assert (holdout.near(one) == holdout.near(other)) == equal


def test_cleaning() -> None:
    pairs = [
        Pair("a  b\n", "c", "1"),
        Pair("a b", "c", "2"),
        Pair("same", "same", "1"),
        Pair("", "x", "1"),
        Pair("{n} lamps", "Lampen", "1"),
        Pair("{n} lamps", "{n} Lampen", "1"),
    ]
    cleaned = [("a b", "c", "1"), ("{n} lamps", "{n} Lampen", "1")]
    assert list(holdout.clean(pairs)) == cleaned


# -- interface texts --------------------------------------------------------------

THINGS = {"lamp": "Lampe", "door": "Tür", "sensor": "Fühler", "lock": "Riegel"}


def _mini_wheel(path: Path) -> None:
    """A wheel of 60 made-up components in the layout of the real one."""
    with zipfile.ZipFile(path, "w") as wheel:
        for number in range(60):
            word = "".join(chr(97 + int(digit)) for digit in str(number))
            folder = f"homeassistant/components/part{number}/translations"
            english: dict[str, object] = {"only_here": "No partner"}
            german: dict[str, object] = {"only_there": "Ohne Partner"}
            for thing, ding in THINGS.items():
                english[thing] = {"on": f"The {word} {thing} is on", "name": thing}
                german[thing] = {"on": f"{ding} {word} ist an", "name": ding}
            english["lost"], german["lost"] = "Found {count}", "Gefunden"
            wheel.writestr(f"{folder}/en.json", json.dumps(english))
            wheel.writestr(f"{folder}/de.json", json.dumps(german))
            wheel.writestr(f"{folder}/xx.json", "{}")


@pytest.fixture
def wheel_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / translate_interface.WHEEL.name
    _mini_wheel(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    wheel = dataclasses.replace(translate_interface.WHEEL, sha256=digest)
    monkeypatch.setattr(translate_interface, "WHEEL", wheel)
    return tmp_path


def test_interface_pairs_of_a_mini_wheel(wheel_folder: Path) -> None:
    problem = translate_interface.TranslateEndeInterface()
    found = {
        split: [
            Pair(e["inputs"], e["targets"], "")
            for e in problem.examples(split, wheel_folder)
        ]
        for split in SPLITS
    }
    everything = [pair for split in SPLITS for pair in found[split]]
    assert Pair("The bc sensor is on", "Fühler bc ist an", "") in everything
    assert all("partner" not in p.source.lower() for p in everything)
    assert all("count" not in p.source for p in everything)
    assert min(map(len, found.values())) > 0
    # Every component has 'lamp'; it is trained on and so tested nowhere.
    assert Pair("lamp", "Lampe", "") in found[TRAIN]
    assert not holdout.leaks(found[TRAIN], found[DEV] + found[TEST])
    assert not holdout.leaks(found[TEST], found[DEV])


def test_any_language_to_any(
    wheel_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same texts the other way round, each with the tag of what is wanted."""
    problem = translate_interface.TranslateManyInterface
    monkeypatch.setattr(problem, "LANGUAGES", ("de", "en"))
    for split in SPLITS:
        found = [
            (e["inputs"], e["targets"]) for e in problem().examples(split, wheel_folder)
        ]
        to_german = {(i[6:], t) for i, t in found if i.startswith("<2de> ")}
        to_english = {(t, i[6:]) for i, t in found if i.startswith("<2en> ")}
        assert to_german and len(to_german) + len(to_english) == len(found)
        assert split != TRAIN or to_german == to_english
        one_way = translate_interface.TranslateEndeInterface()
        pairs = {
            (e["inputs"], e["targets"]) for e in one_way.examples(split, wheel_folder)
        }
        assert to_german == pairs


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    _mini_wheel(tmp_path / translate_interface.WHEEL.name)
    problem = translate_interface.TranslateEndeInterface()
    with pytest.raises(DataUnavailable, match="SHA-256 .* remove it and run again"):
        next(problem.examples(TRAIN, tmp_path))


def test_without_pip_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(wheels, "find_spec", lambda name: None)
    with pytest.raises(DataUnavailable, match="no pip here .* put homeassistant") as e:
        wheels.fetch(translate_interface.WHEEL, tmp_path / "new")
    assert "\n" not in str(e.value)
    assert list((tmp_path / "new").iterdir()) == []
