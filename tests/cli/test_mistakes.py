"""Mistakes: each is answered in three lines at most, by name, and writes nothing.

A case is a command line and the words that its answer must hold: what was given
and what is close or expected. `{new}` is a folder that does not exist; the other
places are made by `places`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import Answer, call, contents, process

from t2t import knobs

TRAIN = "t2t-trainer --output_dir={new} "
COPY = (
    TRAIN + "--problem=algorithmic_copy --hparams_set=transformer_test --train_steps=1 "
)
FILES = (
    TRAIN + "--problem=text2text_files --hparams_set=transformer_test "
    "--train_steps=1 --gin_param=\"text2text_files.vocabulary='bytes'\" "
)
SOME = FILES + "--inputs={good} --targets={good} "
DECODE = "t2t-decoder --output_dir={run} --decode_from_file={good} "
EXPORT = "t2t-exporter --output_dir={run} --export_dir={new} "
DATAGEN = "t2t-datagen --data_dir={new} --problem="

FLAGS = [
    (TRAIN + "--problm=algorithmic_copy", "problm", "problem"),
    (COPY + "--trainsteps=3", "trainsteps", "train_steps"),
    (COPY + "--train_steps=many", "train_steps", "many"),
    (COPY + "--train_steps=0.5", "train_steps", "0.5"),
    (COPY + "--generate_data=perhaps", "generate_data", "perhaps"),
    (COPY + "algorithmic_sort", "'algorithmic_sort'", "--"),
    (COPY + "--schedule=trian", "trian", "train"),
    ("t2t-trainer --problem=algorithmic_copy", "--output_dir"),
    (TRAIN, "--problem"),
    (TRAIN + "--hparams_set=transformer_test", "no problem", "--problem=NAME"),
    (TRAIN + "--problem=algorithmic_copy", "algorithmic_copy", "--hparams_set"),
    ("t2t-decoder --decode_from_file={good}", "--output_dir"),
    ("t2t-decoder --output_dir={run} --beam_size=4", "beam_size", "--decode_hparams"),
    (DECODE + "--score_file={good}", "--score_file", "--decode_from_file"),
    (DECODE + "--decode_interactive", "--decode_interactive", "one of"),
    (DECODE + "--split=dev", "--split", "one of"),
    ("t2t-datagen --data_dir={new}", "--problem"),
    ("t2t-datagen --problem=text2text_files", "--data_dir"),
    (DATAGEN + "text2text_files --num_concurrent_processes=0", "at least 1", "0"),
    ("t2t-eval --split=dev", "--output_dir"),
    ("t2t-eval --output_dir={run} --eval_step=1", "eval_step", "eval_steps"),
    ("t2t-exporter --export_dir={new}", "--output_dir"),
    ("t2t-exporter --output_dir={run}", "--export_dir"),
    ("t2t-serve --port=8000", "--output_dir"),
    ("t2t-serve --output_dir={run} --prot=1", "prot", "'port'"),
    ("t2t-serve --output_dir={run} --port=70000", "70000", "65535"),
    ("t2t-serve --output_dir={run} --max_sessions=0", "max_sessions", "at least 1"),
    ("t2t-serve --output_dir={run} --allow_files={nowhere}", "nowhere", "no folder"),
    ("t2t-serve --output_dir={run} --api_key_file={nowhere}", "nowhere", "no file"),
    ("t2t-serve --output_dir={run} --api_key_file={good}", "one word"),
    ("t2t-serve --output_dir={run} --moderate=inputs", "inputs", "input, output"),
    ("t2t-serve --output_dir={run} --moderation_terms={nowhere}", "nowhere", "no file"),
    ("t2t-serve --output_dir={run} --watermark_file={good}", "one word"),
    ("t2t-serve --output_dir={nowhere}", "nowhere"),
    ("t2t-serve --output_dir={untrained}", "untrained", "no checkpoint"),
    ("t2t-zoo lst", "lst", "list"),
    ("t2t-zoo list modls", "modls", "models"),
    ("t2t-zoo show", "show NAME"),
    ("t2t-zoo show transformer mlp", "one name", "2"),
    ("t2t-zoo baseline", "--problem=NAME", "--output_dir=RUN"),
    ("t2t-zoo baseline algorithmic_copy", "'algorithmic_copy'", "flags"),
]

NAMES = [
    (COPY + "--problem=algorithmic_cpy", "algorithmic_cpy", "algorithmic_copy"),
    (COPY + "--model=transfomer", "transfomer", "transformer"),
    (COPY + "--hparams_set=transformer_tst", "transformer_tst", "transformer_test"),
    (COPY + "--hparams=hiden_size=8", "hiden_size", "hidden_size"),
    (COPY + "--hparams=hidden_size", "name=value", "'hidden_size'"),
    (COPY + "--hparams=hidden_size=wide", "hidden_size", "'wide'"),
    (COPY + "--hparams=num_layers=1.5", "num_layers", "1.5"),
    (COPY + "--hparams=share_embeddings=7", "share_embeddings", "bool", "7"),
    (COPY + "--gin_param=blocks.hiden_size=8", "hiden_size", "blocks"),
    (COPY + "--gin_param=block.hidden_size=8", "block", "blocks"),
    (COPY + "--gin_param=hidden_size", "hidden_size", "name.argument=value"),
    (COPY + "--gin_param=blocks.hidden_size=%hiden_size", "hiden_size", "hidden_size"),
    (COPY + "--gin_param=algorithmic_copy.max_lenth=3", "max_lenth", "max_length"),
    (COPY + "--gin_param=algorithmic_sort.max_length=3", "algorithmic_sort", "copy"),
    (COPY + "--hparams=optimizer=adamm", "adamm", "adamw"),
    (COPY + "--hparams=learning_rate_schedule=constant*warmup", "warmup", "linear_"),
    (COPY + "--strategy=miror", "miror", "mirrored"),
    (COPY + "--hparams=batching=pakced", "pakced", "packed"),
    (COPY + "--hparams=norm=leyer", "leyer", "layer"),
    (COPY + "--hparams=norm_position=before", "before", "pre"),
    (COPY + "--hparams=position=rotation", "rotation", "rotary"),
    (COPY + "--hparams=activation=rellu", "rellu", "relu"),
    (COPY + "--hparams=dtype=float23", "float23", "float32"),
    (COPY + "--eval_early_stopping_metric=los", "'los'", "loss"),
    (COPY + "--hparams=hidden_size=4000000", "weights", "smaller set"),
    (COPY + "--gin_file={none}", "none", "no gin file"),
    (COPY + "--gin_file={bad_gin}", "bad.gin:2", "is no gin"),
    (COPY + "--gin_file={binary}", "binary", "gin file"),
    (COPY + "--inputs={good}", "algorithmic_copy", "inputs"),
    (COPY + "--column=price", "algorithmic_copy", "column"),
    ("t2t-zoo baseline --problem=catch", "no simple baseline fits catch"),
    ("t2t-zoo baseline --problem=algorithmic_cpy", "algorithmic_cpy", "_copy"),
    ("t2t-zoo baseline --problem=algorithmic_copy --split=tset", "tset", "test"),
    ("t2t-zoo baseline --problem=table_diamonds", "table_diamonds", "--data_dir"),
    (COPY + "--model=resnet", "resnet wants", "image", "algorithmic_copy offers"),
    (TRAIN + "--problem=image_digits --hparams_set=transformer_test",
     "transformer wants", "image_digits offers", "resnet"),
    (TRAIN + "--problem=image_digits_rev", "_rev", "inputs and targets"),
    (TRAIN + "--problem=text_class_files_rev", "text_class_files", "inputs and"),
    (DATAGEN + "text2text_file", "text2text_file", "text2text_files"),
    (DATAGEN + "text2text_files --gin_param=text2text_files.input=3",
     "input", "inputs"),
    (DECODE + "--decode_hparams=beam_sise=4", "beam_sise", "beam_size"),
    (DECODE + "--decode_hparams=beam_size=0", "beam_size", "at least 1"),
    (DECODE + "--decode_hparams=beam_size=big", "beam_size", "'big'"),
    (DECODE + "--decode_hparams=top_p=2,sampling=True", "top_p", "2"),
    ("t2t-decoder --output_dir={run} --split=tset", "tset", "test"),
    ("t2t-decoder --output_dir={run} --report={new}", "--report", "compiler"),
    ("t2t-eval --output_dir={run} --split=tset", "tset", "test"),
    ("t2t-eval --output_dir={run} --problem=omni_matrx", "omni_matrx", "omni_matrix"),
    ("t2t-eval --output_dir={run} --problem=omni_matrix --questions=0", "questions=0"),
    ("t2t-eval --output_dir={run} --problem=catch", "catch", "observation"),
    ("t2t-eval --output_dir={run} --problem=omni_matrix", "no conversations", "omni"),
    (EXPORT + "--format=onx", "onx", "'onnx'"),
    (EXPORT + "--weights=int4", "int4", "int8"),
    (EXPORT + "--decode_hparams=sampling=True", "sampling", "t2t-decoder"),
    ("t2t-exporter --output_dir={run} --export_dir={run}", "is there", "to be made"),
    (DATAGEN + "omni_tasks", "speech_codec.npz", "--problem=speech_clips"),
    ("t2t-eval --output_dir={run} --decode_hparams=alpa=1", "alpa", "alpha"),
    ("t2t-zoo show transfomer", "transfomer", "transformer"),
]  # fmt: skip

VALUES = [
    (COPY + "--hparams=num_layers=-1", "num_layers", "at least 1", "-1"),
    (COPY + "--hparams=hidden_size=0", "hidden_size", "at least 1", "0"),
    (SOME + "--hparams=hidden_size=0", "hidden_size", "at least 1", "0"),
    (COPY + "--gin_param=blocks.filter_size=-8", "filter_size", "at least 1", "-8"),
    (COPY + "--hparams=num_heads=3", "num_heads", "3", "16"),
    (COPY + "--hparams=num_kv_heads=7", "num_kv_heads", "7", "2"),
    (COPY + "--hparams=dropout=2", "dropout", "below 1", "2"),
    (COPY + "--hparams=dropout=-0.1", "dropout", "at least 0", "-0.1"),
    (COPY + "--hparams=label_smoothing=1.0", "label_smoothing", "below 1", "1.0"),
    (COPY + "--hparams=ema_decay=1.5", "ema_decay", "below 1", "1.5"),
    (COPY + "--hparams=clip_norm=-1.0", "clip_norm", "at least 0", "-1.0"),
    (COPY + "--hparams=accumulate=0", "accumulate", "at least 1", "0"),
    (COPY + "--hparams=tokens_per_batch=8", "tokens_per_batch=8", "at least 32"),
    (COPY + "--hparams=tokens_per_batch=-8", "tokens_per_batch", "-8"),
    (COPY + "--hparams=max_length=0", "max_length", "0"),
    (COPY + "--hparams=save_frequency=0", "save_frequency", "at least 1", "0"),
    (COPY + "--hparams=log_frequency=0", "log_frequency", "at least 1", "0"),
    (COPY + "--local_eval_frequency=0", "local_eval_frequency", "at least 1"),
    (COPY + "--keep_checkpoint_max=0", "keep_checkpoint_max", "at least 1"),
    (COPY + "--train_steps=-5", "train_steps", "at least 1", "-5"),
    (COPY + "--random_seed=-1", "random_seed", "at least 0", "-1"),
    (COPY + "--hparams=learning_rate_constant=1e999", "learning_rate_", "finite"),
    (COPY + "--hparams=optimizer_beta_1=1.0", "optimizer_beta_1", "below 1", "1.0"),
    (COPY + "--gin_param=algorithmic_copy.max_length=0", "max_length", "0"),
]

BROKEN_FILES = [
    (FILES, "text2text_files", "--inputs=FILE"),
    (FILES + "--inputs={good}", "one side only", "--targets=FILE"),
    (FILES + "--inputs={none} --targets={good}", "none", "no such file"),
    (FILES + "--inputs={good} --targets={short}", "40", "39"),
    (FILES + "--inputs={latin} --targets={good}", "line 2", "not UTF-8", "iconv"),
    (FILES + "--inputs={empty} --targets={empty}", "empty.txt", "no text"),
    (FILES + "--inputs={bad_tsv}", "line 2", "3 columns"),
    (FILES + "--inputs={bad_jsonl}", "line 2", "not JSON"),
    (FILES + "--inputs={bad_gz} --targets={good}", "bad.gz", "damaged"),
    (SOME + "--data_dir={nowhere}", "nowhere", "t2t-datagen --problem=text2text_files"),
    (SOME + "--data_dir={cut}", "-train-00000", "damaged", "t2t-datagen"),
    (SOME + "--data_dir={no_manifest}", "manifest", "delete it"),
    (DATAGEN + "text2text_files", "text2text_files", "--inputs=FILE"),
    (TRAIN + "--problem=language_model_files --inputs={none}", "no such file"),
    (TRAIN + "--problem=text_class_files --inputs={good}", "--labels=FILE"),
    ("t2t-decoder --output_dir={run} --decode_from_file={none}", "none", "no file"),
    ("t2t-decoder --output_dir={run} --score_file={good}", "line 1", "no tab"),
    (DECODE, "line 1", "'ak'", "vocabulary 'decimal'"),
    (DECODE + "--decode_to_file={nowhere}/out.txt", "nowhere", "no"),
]  # fmt: skip

RUNS = [
    ("t2t-decoder --output_dir={new} --decode_from_file={good}", "no run", "no such"),
    ("t2t-decoder --output_dir={data} --decode_from_file={good}", "no config.gin"),
    ("t2t-eval --output_dir={new}", "no run", "no such folder"),
    (TRAIN + "--schedule=evaluate", "no run", "no such folder"),
    (TRAIN + "--schedule=continuous_eval", "no run", "no such folder"),
    ("t2t-decoder --output_dir={untrained} --decode_from_file={good}",
     "no checkpoint", "train first"),
    ("t2t-eval --output_dir={untrained}", "no checkpoint", "train first"),
    (DECODE + "--checkpoint_path={nowhere}", "nowhere", "no checkpoint"),
    (DECODE + "--checkpoint_path={binary}", "binary", "no checkpoint of t2t"),
    (DECODE + "--checkpoint_path={half}", "half", "no checkpoint of t2t"),
    (DECODE + "--checkpoint_path={other}", "(14, 16)", "another set"),
    ("t2t-trainer --output_dir={damaged}", "no checkpoint of t2t", "checkpoint-00"),
    ("t2t-trainer --output_dir={run} --hparams=num_layers=1",
     "num_layers = 2", "another --output_dir"),
    ("t2t-trainer --output_dir={run} --problem=algorithmic_sort",
     "algorithmic_copy", "algorithmic_sort", "another --output_dir"),
    ("t2t-trainer --output_dir={vanished}", "vanished_problem", "vanished"),
    ("t2t-decoder --output_dir={vanished} --decode_from_file={good}",
     "vanished_problem", "vanished"),
    ("t2t-trainer --output_dir={good} --problem=algorithmic_copy "
     "--hparams_set=transformer_test", "good", "folder"),
    (COPY + "--warm_start_from={nowhere}", "nowhere", "no checkpoint"),
    (COPY + "--warm_start_from={other} --hparams=hidden_size=8", "nothing in", "fits"),
]  # fmt: skip

PLUG_INS = [
    (COPY + "--t2t_usr_dir={nowhere}", "nowhere", "no such folder"),
    (COPY + "--t2t_usr_dir={untrained}/checkpoints", "no .py"),
    (COPY + "--t2t_usr_dir={broken} --problem=broken_copy",
     "broken_copy", "broken.py", "line 2"),
    (COPY + "--t2t_usr_dir={twice}", "algorithmic_copy", "twice", "algorithmic.py"),
    (COPY + "--t2t_usr_dir={raising} --problem=raising_copy",
     "raising_copy", "ZeroDivisionError"),
    ("t2t-zoo list --t2t_usr_dir={nowhere}", "nowhere", "no such folder"),
    (DATAGEN + "x --t2t_usr_dir={nowhere}", "nowhere", "no such folder"),
]  # fmt: skip

MISTAKES = [*FLAGS, *NAMES, *VALUES, *BROKEN_FILES, *RUNS, *PLUG_INS]

PLUG_IN = """\
from t2t import registry
from t2t.problems.algorithmic import AlgorithmicCopy
{line}

@registry.problem
class {name}(AlgorithmicCopy):
    pass
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, copy_run: Path) -> dict[str, Path]:
    """Files, data sets, runs and plug-ins, good and broken, in one folder."""
    root = tmp_path_factory.mktemp("mistakes")
    # Digits count for nothing when lines are compared: letters make them differ.
    lines = [f"{a}{b} {b}{a}" for a in "abcdefgh" for b in "klmno"]
    texts = {
        "good.txt": "\n".join(lines) + "\n",
        "short.txt": "\n".join(lines[1:]) + "\n",
        "empty.txt": "",
        "bad.tsv": "a\tb\na\tb\tc\n",
        "bad.jsonl": '{"inputs": "a", "targets": "b"}\n{"inputs": \n',
        "bad.gin": "num_layers = 2\nhidden_size = = 3\n",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / "latin.txt").write_bytes("ein\nschön\n".encode("latin1") + b"x\n" * 38)
    (root / "bad.gz").write_bytes(b"\x1f\x8b\x08\x00 and then no more")
    (root / "binary.npz").write_bytes(bytes(range(256)) * 8)
    named = {name.replace(".", "_"): root / name for name in texts}
    named = {name.removesuffix("_txt"): path for name, path in named.items()}
    named |= {n: root / n for n in ("new", "nowhere", "none")}
    named |= {"root": root, "latin": root / "latin.txt", "bad_gz": root / "bad.gz"}
    named |= {"binary": root / "binary.npz"}
    return named | _data(root) | _runs(root, copy_run) | _plug_ins(root)


def _data(root: Path) -> dict[str, Path]:
    good = root / "good.txt"
    answer = call(
        f"t2t-datagen --problem=text2text_files --data_dir={root}/data "
        "--num_concurrent_processes=1 "
        f"--gin_param=\"text2text_files.inputs='{good}'\" "
        f"--gin_param=\"text2text_files.targets='{good}'\" "
        "--gin_param=\"text2text_files.vocabulary='bytes'\""
    )
    assert answer.status == 0, answer.err
    cut = shutil.copytree(root / "data", root / "cut")
    shard = next(cut.glob("*-train-00000-*"))
    shard.write_bytes(shard.read_bytes()[:-7])
    no_manifest = shutil.copytree(root / "data", root / "no_manifest")
    (no_manifest / "text2text_files.manifest.json").write_text("{}")
    return {"data": root / "data", "cut": cut, "no_manifest": no_manifest}


def _runs(root: Path, copy_run: Path) -> dict[str, Path]:
    runs = {
        name: shutil.copytree(copy_run, root / name)
        for name in ("run", "untrained", "damaged", "vanished")
    }
    for path in (runs["untrained"] / "checkpoints").iterdir():
        path.unlink()
    whole = max((runs["run"] / "checkpoints").glob("*.npz"))
    half = root / "half.npz"
    half.write_bytes(whole.read_bytes()[:5000])
    for path in (runs["damaged"] / "checkpoints").glob("*.npz"):
        path.write_bytes(half.read_bytes())
    config = runs["vanished"] / "config.gin"
    config.write_text(
        config.read_text().replace("algorithmic_copy", "vanished_problem")
    )
    # Another set's: each array is a row longer.
    arrays = dict(np.load(whole))
    arrays |= {
        name: np.pad(array, [(0, 1)] * array.ndim)
        for name, array in arrays.items()
        if array.ndim and name != "meta"
    }
    np.savez(root / "other.npz", **arrays)  # type: ignore[arg-type]
    return {**runs, "half": half, "other": root / "other.npz"}


def _plug_ins(root: Path) -> dict[str, Path]:
    files = {
        "broken": "from t2t import registry\nclass Broken(:\n",
        "twice": PLUG_IN.format(line="", name="AlgorithmicCopy"),
        "raising": PLUG_IN.format(line="1 / 0", name="RaisingCopy"),
    }
    for name, text in files.items():
        (root / name).mkdir()
        (root / name / f"{name}.py").write_text(text)
    return {name: root / name for name in files}


def check(answer: Answer, line: str, words: tuple[str, ...]) -> None:
    text = answer.out + answer.err
    assert answer.status == 2, f"{line}\n{text}"
    assert 1 <= len(answer.lines) <= 3, f"{line}\n{text}"
    assert "Traceback" not in text
    missing = [word for word in words if word not in text]
    assert not missing, f"{line}\nexpected {missing} in: {text}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(line, words, id=line.split("{new} ")[-1])
        for line, *words in MISTAKES
    ],
)
def test_a_mistake_is_told_in_a_line_and_nothing_is_written(
    line: str, words: list[str], places: dict[str, Path]
) -> None:
    before = contents(places["root"])
    answer = call(line.format(**places))
    check(answer, line, tuple(words))
    assert contents(places["root"]) == before


@pytest.mark.parametrize("i", [0, 25, len(FLAGS) + len(NAMES)])
def test_a_process_answers_as_the_function_does(
    i: int, places: dict[str, Path]
) -> None:
    line, *words = MISTAKES[i]
    check(process(line.format(**places)), line, tuple(words))


def test_there_are_at_least_sixty() -> None:
    assert len({line for line, *_ in MISTAKES}) >= 60


def test_the_choices_told_early_are_those_of_the_parts() -> None:
    from t2t.layers.feed_forward import ACTIVATIONS, GATED
    from t2t.optimizers.schedules import FACTORS

    assert set(knobs.CHOICES["blocks.activation"]) == {*ACTIVATIONS, *GATED}
    assert set(knobs.FACTORS) == set(FACTORS)
