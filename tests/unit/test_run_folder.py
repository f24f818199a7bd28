"""The run folder: what a run is made of, and what may change when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from t2t import config as config_lib
from t2t import registry
from t2t.config import Config
from t2t.run.folder import RunError, RunFolder, create, open_run
from t2t.run.log import MetricsLog, read_records
from t2t.run.problems import ready_data


def _config(hparams: str = "") -> Config:
    return config_lib.load(
        hparams_set="transformer_test", problem="algorithmic_copy", hparams=hparams
    )


def test_the_saved_config_is_the_config(tmp_path: Path) -> None:
    run = create(tmp_path / "run", _config("num_layers=3"), data_dir="somewhere")
    _, config = open_run(run.path)
    assert config.knobs == _config("num_layers=3").knobs
    assert config.bindings == _config().bindings
    again = config_lib.load(gin_files=[str(run.config)])
    assert again.text().splitlines()[1:] == config.text().splitlines()[1:]
    assert Path(run.describe()["data_dir"]).is_absolute()


def test_going_on_may_change_what_does_not_matter(tmp_path: Path) -> None:
    create(tmp_path, _config(), data_dir=None)
    create(tmp_path, _config("train_steps=9,log_frequency=1"), data_dir=None)
    assert open_run(tmp_path)[1].knob("train_steps") == 9
    with pytest.raises(RunError, match="num_layers = 2, not 4: give another --output"):
        create(tmp_path, _config("num_layers=4"), data_dir=None)
    bound = config_lib.load(
        hparams_set="transformer_test",
        problem="algorithmic_copy",
        gin_params=["algorithmic_copy.max_length = 3"],
    )
    with pytest.raises(RunError, match="algorithmic_copy.max_length = None, not 3"):
        create(tmp_path, bound, data_dir=None)


def test_it_goes_on_with_the_data_that_it_knows(tmp_path: Path) -> None:
    data = tmp_path / "shards"
    data.mkdir()
    run = create(tmp_path / "run", _config(), data_dir=str(data))
    stored = config_lib.load(hparams_set="transformer_test", problem="text2text_files")
    assert ready_data(stored, output_dir=run.path) == run.data_dir == str(data)
    assert ready_data(stored, output_dir=run.path, data_dir="other") == "other"
    (run.path / "data").mkdir()
    assert run.data_dir == str(data)
    data.rmdir()  # the folder was moved, with its own data in it
    assert run.data_dir == str(run.path / "data")
    assert RunFolder(tmp_path).data_dir is None


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        open_run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no config.gin in it"):
        open_run(tmp_path)


def test_a_vanished_name_is_told(tmp_path: Path) -> None:
    run = create(tmp_path, _config(), data_dir=None)
    text = run.config.read_text().replace("'algorithmic_copy'", "'algorithmic_kopy'")
    run.config.write_text(text)
    with pytest.raises(RunError, match="a problem that has vanished.*algorithmic_kopy"):
        open_run(tmp_path)


def test_plugins_come_back(zoo: registry.Registry, tmp_path: Path) -> None:
    usr = tmp_path / "usr"
    usr.mkdir()
    (usr / "mine.py").write_text(
        "from t2t import registry\n"
        "from t2t.problems.algorithmic import AlgorithmicCopy\n"
        "@registry.problem\nclass RunFolderPlugin(AlgorithmicCopy):\n    '''Mine.'''\n"
    )
    zoo.add_usr_dir(usr)
    config = config_lib.load(
        hparams_set="transformer_test", problem="run_folder_plugin"
    )
    create(tmp_path / "run", config, data_dir=None)
    zoo.usr_dirs.clear()
    zoo.scan()
    assert "run_folder_plugin" not in zoo.names("problem")
    open_run(tmp_path / "run")
    assert "run_folder_plugin" in zoo.names("problem")


def test_metrics_of_a_killed_run_are_read_and_go_on(tmp_path: Path) -> None:
    run = create(tmp_path, _config(), data_dir=None)
    log = MetricsLog(run)
    for step in (2, 4, 6):
        log.write(step, {"loss": step / 10, "bad": float("nan")}, split="train")
    log.close()
    with open(run.metrics, "a") as file:
        file.write('{"step": 7, "spl')
    assert [r["step"] for r in read_records(run.metrics)] == [2, 4, 6]
    log = MetricsLog(run, after_step=4)
    log.write(6, {"loss": 1.0}, split="train")
    log.close()
    records = read_records(run.metrics)
    assert [(r["step"], r["loss"]) for r in records] == [(2, 0.2), (4, 0.4), (6, 1.0)]
    assert "bad" not in records[0] and records[2]["seconds"] >= records[1]["seconds"]
    json.dumps(records, allow_nan=False)
