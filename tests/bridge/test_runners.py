"""One policy in numpy, C, a generated header, ONNX Runtime and LiteRT: the same
decisions on ten thousand states."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_header import ask, build, compiler_for, inputs, policy

from t2t.bridge import flat, plugins
from t2t.bridge.episodes import Job, Questions
from t2t.bridge.flat import BadPolicy, FlatPolicy, Standardise
from t2t.bridge.runners import LitePolicy, OnnxPolicy
from t2t.bridge.specs import Header, TensorSpec, matrix
from t2t.export.flat_graphs import write_litert, write_onnx
from t2t.export.flat_header import write_header

HERE = Path(__file__).parent
STATES = 10_000
SIZE = 8


def masked() -> FlatPolicy:
    """Chooses among 33 candidates, as register eviction does."""
    rng = np.random.default_rng(3)
    n = lambda *shape: rng.normal(size=shape).astype("f4")  # noqa: E731
    features = (
        TensorSpec("weight", "float", (1, 33)),
        TensorSpec("mask", "int64_t", (1, 33)),
        TensorSpec("progress", "float"),
    )
    kernels = [(n(67, 30) / 8, n(30)), (n(30, 33), n(33))]
    before = [Standardise(np.zeros(67, "f4"), np.ones(67, "f4"))]
    advice = TensorSpec("index_to_evict", "int64_t")
    return flat.mlp(features, advice, kernels, before=before, mask="mask")


def valued() -> FlatPolicy:
    """A number, as the priority of a register is."""
    rng = np.random.default_rng(4)
    features = (TensorSpec("li_size", "int64_t"), TensorSpec("weight", "float"))
    kernels = [(rng.normal(size=(2, 16)), np.ones(16)), (rng.normal(size=(16, 1)), [0])]
    return flat.mlp(features, TensorSpec("priority", "float"), kernels)


def states(made: FlatPolicy) -> np.ndarray:
    rng = np.random.default_rng(5)
    found = np.zeros(STATES, Header(made.features).record)
    for spec in made.features:
        shape = (STATES, *spec.shape)
        if spec.name == "mask":
            found["mask"] = rng.random(shape) < 0.3
            found["mask"][:, 0, 7] = 1  # one is always there
        elif spec.dtype.kind == "f":
            found[spec.name] = rng.normal(size=shape) * 300
        else:
            found[spec.name] = rng.integers(-1000, 1000, shape)
    return found


POLICIES: dict[str, Callable[[], FlatPolicy]] = {
    "choice": lambda: policy(SIZE),
    "masked": masked,
    "value": valued,
}


def numpys(made: FlatPolicy, records: np.ndarray) -> np.ndarray:
    mask = matrix(records, [made.mask]) if made.mask else None
    return made.decide(matrix(records, made.names), mask)


def agree(made: FlatPolicy, found: np.ndarray, expected: np.ndarray) -> None:
    """Decisions equal; numbers to a few last digits, for sums have other orders."""
    if made.chooses:
        np.testing.assert_array_equal(found.ravel(), expected.ravel())
        assert len(set(expected.ravel().tolist())) > 2
    else:
        np.testing.assert_allclose(
            found.ravel(), expected.ravel(), rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize("name", POLICIES)
def test_onnx_runtime_decides_as_numpy(name: str, tmp_path: Path):
    made = POLICIES[name]()
    records = states(made)
    runner = OnnxPolicy(write_onnx(made, tmp_path / "p.onnx"))
    assert set(runner.names) == set(made.names)
    agree(made, runner.decide(records), numpys(made, records))


@pytest.mark.parametrize("name", POLICIES)
def test_litert_decides_as_numpy(name: str, tmp_path: Path):
    made = POLICIES[name]()
    records = states(made)
    runner = LitePolicy(write_litert(made, tmp_path / "p.tflite"))
    assert set(runner.names) == set(made.names)
    agree(made, runner.decide(records), numpys(made, records))
    agree_one = runner.decide(records[:1])  # another number of states
    np.testing.assert_allclose(agree_one.ravel(), numpys(made, records[:1]).ravel())


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_generated_header_decides_as_numpy(
    name: str, language: str, tmp_path: Path
):
    made = POLICIES[name]()
    write_header(made, tmp_path / "policy.h")
    flags = {"masked": ["-DMASK=33"], "value": ["-DVALUES"]}.get(name, [])
    include = f"-I{tmp_path}"
    compiler_for(language, "gcc")
    program = build(
        tmp_path / "choosing", "choosing.c", "gcc", language, include, *flags
    )
    records = states(made)
    done = subprocess.run(
        [program],
        input=matrix(records, made.names).tobytes(),
        capture_output=True,
        check=True,
    )
    found = np.array(done.stdout.split(), float)
    agree(made, found, numpys(made, records))


def test_policies_of_other_features_are_refused(tmp_path: Path):
    made = policy(SIZE)
    other = states(valued())
    for runner in (
        OnnxPolicy(write_onnx(made, tmp_path / "p.onnx")),
        LitePolicy(write_litert(made, tmp_path / "p.tflite")),
    ):
        with pytest.raises(BadPolicy, match="no feature"):
            runner.decide(other)


def test_flat_weights_answer_a_host():
    made = policy(SIZE)
    records = states(made)[:5]
    header = Header(made.features, made.advice)
    questions = Questions(header, records, [Job(())] * 5, [0] * 5, [""] * 5)
    np.testing.assert_array_equal(made(questions), numpys(made, records))


def test_names_that_c_does_not_know(tmp_path: Path):
    with pytest.raises(ValueError, match="no name in C"):
        write_header(policy(SIZE), tmp_path / "p.h", name="my policy")


# -- in the compiler's own process -----------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bridge_asking.c, which loads runners."""
    output = tmp_path_factory.mktemp("asking") / "asking"
    flags = ("-DT2T_BRIDGE_RUNNERS", "-std=gnu99", "-ldl")
    return build(output, "bridge_asking.c", "gcc", "c", *flags)


def addresses(made: FlatPolicy, folder: Path) -> dict[str, str]:
    """The same policy for every runner, each in its form."""
    header = write_header(made, folder / "policy.h")
    written = {
        "onnx": write_onnx(made, folder / "p.onnx"),
        "litert": write_litert(made, folder / "p.tflite"),
    }
    found = {"flat": f"model:{made.save(folder / 'p.flat')}"}
    library = plugins.build_runner("header", policy=header, folder=folder)
    found["header"] = f"runner:{library},policy.h"
    for kind, path in written.items():
        found[kind] = f"runner:{plugins.build_runner(kind, folder=folder)},{path}"
    return found


def test_all_runners_in_c_decide_as_numpy(asking: Path, tmp_path: Path):
    made = policy(SIZE)
    x = np.concatenate([np.arange(STATES)[:, None], inputs(STATES, SIZE)], axis=1)
    expected = made.decide(x.astype(np.float32), None)
    assert len(set(expected.tolist())) > 2
    for kind, address in addresses(made, tmp_path).items():
        out, err = ask(asking, address, STATES, SIZE, "numbers")
        found = np.array([line.split() for line in out.splitlines()], int)
        assert (found[:, 0] == 1).all(), (kind, err)
        np.testing.assert_array_equal(found[:, 1], expected, err_msg=kind)


def test_runners_refuse_other_features_too(asking: Path, tmp_path: Path):
    made = policy(SIZE)
    names = {"flat": "x is int64_t of 9", "header": "no x", "onnx": "another x"}
    for kind, address in addresses(made, tmp_path).items():
        out, err = ask(asking, address, 3, SIZE + 1)
        assert out.split()[:3] == ["0", "3", "0"], kind
        assert names.get(kind, "another x") in err and "the default from now on" in err
    for address, message in (
        (f"runner:{tmp_path}/no.so,x", "is no runner"),
        ("runner:/nowhere", "cannot open runner:/nowhere"),
        (addresses(made, tmp_path)["onnx"] + "x", "no policy in"),
        (addresses(made, tmp_path)["litert"] + "x", "no policy in"),
    ):
        out, err = ask(asking, address, 3, SIZE)
        assert out.split()[:3] == ["0", "3", "0"] and message in err


def test_a_masked_policy_in_a_header(tmp_path: Path):
    """Its library is given the mask's name."""
    path = write_header(masked(), tmp_path / "policy.h")
    assert plugins.build_runner("header", policy=path, folder=tmp_path).exists()
    with pytest.raises(
        plugins.CannotBuild, match="no runner 'onx'. Did you mean 'onnx'"
    ):
        plugins.build_runner("onx")
