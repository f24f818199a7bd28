"""Datagen: deterministic, restartable after any kill, and honest about damage."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data_toys import Faulty, Learned, Numbers, Pairs, Pictures

from t2t.data import generate as generate_lib
from t2t.data.generate import generate
from t2t.data.shards import DataCorrupt, DataMissing, Shards
from t2t.data.vocabularies import sample
from t2t.data.workers import Encoders, WorkerFailed

TESTS = Path(__file__).parents[1]
RUN = """
import sys
import data_toys
from t2t.data.generate import generate
if __name__ == "__main__":
    problem = getattr(data_toys, sys.argv[3])(int(sys.argv[2]))
    generate(problem, sys.argv[1], sys.argv[1] + "/tmp", processes=2)
"""


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in Path(folder).iterdir()
        if path.is_file() and not path.name.endswith(".unfinished")
    }


def start(
    folder: Path, count: int = 4000, problem: str = "Learned"
) -> subprocess.Popen:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(count), problem],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + 10
    while alive(group):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)


def test_what_goes_in_comes_out_in_order(tmp_path):
    manifest = generate(Pairs(), tmp_path, tmp_path / "tmp", processes=1)
    assert manifest.splits["train"]["examples"] == 300
    shards = Shards(tmp_path, "pairs", split="train", features=Pairs().features)
    raw = list(Pairs().examples("train", tmp_path))
    for index in (0, 1, 150, 299):
        expected = Pairs().encode(raw[index])
        assert shards[index]["inputs"].tolist() == expected["inputs"].tolist()
        assert shards[index]["targets"].dtype == np.int32
    read = shards.read([7, 3, 7])
    assert [len(e["inputs"]) for e in read] == [
        len(raw[i]["inputs"]) + 1 for i in (7, 3, 7)
    ]
    tokens = manifest.splits["train"]["tokens"]["inputs"]
    assert tokens == sum(len(e["inputs"].encode()) + 1 for e in raw)
    shards.verify()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_change_nothing(tmp_path, monkeypatch, method):
    monkeypatch.setattr("t2t.data.workers._start_method", lambda: method)
    monkeypatch.setattr(generate_lib, "CHUNK", 7)
    generate(Learned(), tmp_path / "one", tmp_path, processes=1)
    generate(Learned(), tmp_path / "two", tmp_path, processes=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_second_run_does_nothing(tmp_path):
    first = generate(Learned(), tmp_path, tmp_path / "tmp", processes=1)
    never = generate(
        Learned(),
        tmp_path,
        tmp_path / "tmp",
        examples=lambda split: 1 / 0,  # type: ignore
    )
    assert never == first
    again = generate(Learned(301), tmp_path, tmp_path / "tmp", processes=1)
    assert again.splits["train"]["examples"] == 301


def test_fake_examples_and_suffixes(tmp_path):
    problem = Pairs()
    problem.name, problem.suffixes = "pairs_rev", ("_rev",)
    generate(
        problem,
        tmp_path,
        tmp_path,
        processes=1,
        examples=lambda split: [{"inputs": split, "targets": "x"}],
    )
    stored = Shards(tmp_path, "pairs", split="dev", features=problem.features)
    assert len(stored) == 1 and len(stored[0]["inputs"]) == len("dev") + 1


def test_generated_problems_have_no_shards(tmp_path):
    assert generate(Numbers(), tmp_path, tmp_path).splits == {}


def test_pictures(tmp_path):
    generate(Pictures(), tmp_path, tmp_path, processes=1)
    read = Shards(tmp_path, "pictures", split="train", features=Pictures().features)[7]
    assert read["image"].shape == (2, 3, 1) and read["image"].max() == 7
    assert read["value"] == np.float32(7)


def test_killed_at_any_time_then_run_again(tmp_path):
    clean = tmp_path / "clean"
    begun = time.monotonic()
    assert start(clean).wait() == 0
    seconds = time.monotonic() - begun
    wanted, rng = files(clean), random.Random(0)
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        run = start(folder)
        time.sleep(rng.uniform(0.2, 1.1) * seconds)
        run.kill()
        run.wait()
        wait_until_gone(run.pid)
        if (folder / "learned.manifest.json").exists():
            listed = json.loads((folder / "learned.manifest.json").read_text())
            for split in listed["splits"]:
                Shards(
                    folder, "learned", split=split, features=Learned().features
                ).verify()
        assert start(folder).wait() == 0
        assert files(folder) == wanted


def test_ctrl_c_leaves_no_workers(tmp_path):
    # More than it gets to write, and no vocabulary to learn before.
    run = start(tmp_path / "data", count=500_000, problem="Pairs")
    while not list(tmp_path.glob("data/*.unfinished")):
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(60) != 0
    wait_until_gone(run.pid)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_example_that_cannot_be_encoded_is_shown(tmp_path, processes):
    with pytest.raises(WorkerFailed, match="a bad line in the example .*10:a"):
        generate(Faulty(), tmp_path, tmp_path, processes=processes)
    assert not list(tmp_path.glob("*.array_record*"))


def test_a_dead_worker_is_an_error():
    encoders = Encoders(Pairs(), processes=2)
    try:
        encoders._workers[0].kill()
        with pytest.raises(WorkerFailed, match="died with exit status -9"):
            list(encoders.encode([[{"inputs": "a", "targets": "b"}]] * 4))
    finally:
        encoders.close()


def test_a_vocabulary_of_the_same_name_is_not_overwritten(tmp_path):
    generate(Learned(), tmp_path, tmp_path, processes=1)
    other = Learned()
    other._vocabulary.build(["quite other words"] * 50)
    with pytest.raises(ValueError, match="another vocabulary of the same name"):
        generate(other, tmp_path, tmp_path, processes=1)


def test_the_vocabulary_sample_is_bounded_and_fair():
    examples = [{"text": "x" * 700, "n": i} for i in range(1000)]
    kept = sample(examples, 100_000, seed=0)
    assert 95 <= len(kept) <= 100
    numbers = [example["n"] for example in kept]
    assert numbers == sorted(numbers) and 400 < np.mean(numbers) < 600
    assert kept == sample(iter(examples), 100_000, seed=0)


def test_damage_is_named(tmp_path):
    def shards(split: str = "train") -> Shards:
        return Shards(tmp_path, "pairs", split=split, features=Pairs().features)

    remedy = f"run t2t-datagen --problem=pairs --data_dir={tmp_path}"
    with pytest.raises(DataMissing, match=f"no pairs in .*: {remedy}"):
        shards()
    generate(Pairs(), tmp_path, tmp_path / "tmp", processes=1)
    with pytest.raises(DataMissing, match=r"no split 'test' \(finished: dev, train\)"):
        shards("test")

    path = tmp_path / "pairs-train-00001-of-00003.array_record"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataCorrupt, match="00001-of-00003.*SHA-256"):
        shards().verify()
    with pytest.raises(DataCorrupt, match=f"00001-of-00003.*delete it and {remedy}"):
        shards().read(range(300))
    path.write_bytes(content[:-1])
    with pytest.raises(DataCorrupt, match="131071 bytes instead of 131072"):
        shards()
    path.unlink()
    with pytest.raises(DataMissing, match="00001-of-00003.* is gone"):
        shards()
    generate(Pairs(), tmp_path, tmp_path / "tmp", processes=1)
    shards().verify()

    (tmp_path / "bytes.bytes").write_text("other")
    with pytest.raises(DataCorrupt, match="not the vocabulary that pairs was encoded"):
        shards()
    (tmp_path / "pairs.manifest.json").write_text("{")
    with pytest.raises(DataCorrupt, match="is not a data manifest"):
        shards()


def test_changed_files_and_empty_splits(tmp_path):
    lines = tmp_path / "lines.txt"

    class Lines(Learned):
        def __init__(self) -> None:
            super().__init__(name="lines")
            self.files = {"train": (str(tmp_path / "*.txt"), ""), "dev": (None, lines)}

        def examples(self, split, tmp_dir):
            for line in lines.read_text().splitlines():
                yield {"inputs": line, "targets": line}

    vocabularies = []
    for text in ("a\nb", "aaa\nb\nc"):
        lines.write_text(text)
        manifest = generate(Lines(), tmp_path, tmp_path, processes=1)
        assert manifest.splits["dev"]["examples"] == len(text.split())
        assert list(manifest.knobs["files"]) == [str(lines)]
        vocabularies.append(manifest.vocabularies)
        assert generate(Lines(), tmp_path, tmp_path, processes=1) == manifest
    assert vocabularies[0] != vocabularies[1]
    with pytest.raises(ValueError, match="pairs has no examples for its split 'train'"):
        generate(Pairs(), tmp_path, tmp_path, processes=1, examples=lambda split: [])


def test_two_runs_at_once_agree(tmp_path):
    runs = [start(tmp_path) for _ in range(2)]
    said = [run.communicate()[1].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert any("waiting: another run writes learned" in text for text in said)
    Shards(tmp_path, "learned", split="train", features=Learned().features).verify()
