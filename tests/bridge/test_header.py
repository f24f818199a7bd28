"""t2t_bridge.h, from C and C++, under sanitizers, against the Python side."""

from __future__ import annotations

import os
import select
import shutil
import struct
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from seeds import seeds
from test_transports import SCRIPTS, total

from t2t.bridge import flat, recorder, transports
from t2t.bridge.client import Client
from t2t.bridge.codecs import policy_side
from t2t.bridge.episodes import Episode, Failure, Job
from t2t.bridge.flat import Bucketise, FlatPolicy, Squares, Standardise
from t2t.bridge.host import Host
from t2t.bridge.messages import Question
from t2t.bridge.specs import TensorSpec

HERE = Path(__file__).parent
INCLUDE = HERE.parents[1] / "t2t" / "bridge"
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-O1")
SANITIZED = (
    "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip
LANGUAGES = {"c": ("-std=c99",), "c++": ("-std=c++17", "-x", "c++")}


def compiler_for(language: str, family: str) -> str:
    names = {("gcc", "c"): "gcc", ("gcc", "c++"): "g++"}
    names |= {("clang", "c"): "clang", ("clang", "c++"): "clang++"}
    name = names[family, language]
    for candidate in (name, *(f"{name}-{n}" for n in (22, 19, 18, 17))):
        if found := shutil.which(candidate):
            return found
    pytest.skip(f"no {name} here: apt-get install {name.replace('++', '')}")


def build(output: Path, source: str, family: str, language: str, *flags: str) -> Path:
    compiler = compiler_for(language, family)
    words = [compiler, *LANGUAGES[language], *STRICT, *flags, f"-I{INCLUDE}"]
    path = next(
        folder / source for folder in (HERE, SCRIPTS) if (folder / source).exists()
    )
    done = subprocess.run([*words, path, "-o", output], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """bridge_asking.c, sanitized, as C and as C++."""
    folder = tmp_path_factory.mktemp("programs")
    family = "gcc" if shutil.which("g++") else "clang"
    return {
        language: build(
            folder / language.replace("+", "p"),
            "bridge_asking.c",
            family,
            language,
            *SANITIZED,
        )
        for language in LANGUAGES
    }


@pytest.fixture(params=LANGUAGES)
def program(request: pytest.FixtureRequest, programs: dict[str, Path]) -> Path:
    return programs[request.param]


@pytest.mark.parametrize("family", ["gcc", "clang"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_compiles_without_a_warning(family: str, language: str, tmp_path: Path):
    build(tmp_path / "asking", "bridge_asking.c", family, language)


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_answers_come_by_every_transport(transport: str, program: Path):
    sizes = {1: 40, 38: 400, 50_000: 3, 200_000: 2}
    spin = "?spin=50" if transport == "shm" else ""
    jobs = [
        Job(
            (str(program), "{channel}" + spin, str(n), str(size)),
            transport=transport,
            codec="frames",
        )
        for size, n in sizes.items()
    ]
    decisions = []
    with Host(total, parallel=2, spin=5e-5 if spin else 0.0) as host:
        for result in host.run(jobs):
            assert isinstance(result, Episode), result
            (one,) = result.trajectories
            decisions.append(len(one))
            assert one.contexts == [(0, 'all "quoted"')]
            assert (one.advice[:, 0] == one.observations["x"].sum(axis=1)).all()
            assert (one.observations["default"] == -1).all()
            rewards = [struct.unpack("<d", raw)[0] for raw in one.outcomes.values()]
            assert rewards == [n / 2 for n in range(len(one))]
    assert sorted(decisions) == sorted(sizes.values())


def test_who_goes_without_a_word_is_a_failure(program: Path):
    words = (str(program), "{channel}", "3", "1", "quit")
    with Host(total) as host:
        (result,) = host.run([Job(words, transport="unix", codec="frames")])
    assert isinstance(result, Failure) and "without a word" in result.reason


# -- by hand: what a bad host does ----------------------------------------------------

Answer = Callable[[int, int], bytes | None]


def talk(
    program: Path | None,
    folder: Path,
    answer: Answer,
    *,
    transport: str = "fifo",
    count: int = 3,
    size: int = 2,
    options: str = "",
    mode: str = "",
) -> tuple[str, str, bytes]:
    """(stdout, stderr, all that was sent) of a program answered by `answer(number,
    sum)`; None closes the host's end. Without a program Python's client asks."""
    end = transports.endpoint(transport, folder / "c")
    words = [str(program), end.address + options, str(count), str(size), mode]
    for place, number in enumerate(end.descriptors):
        words[1] = words[1].replace(f"{{{place}}}", str(number))
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        pass_fds=end.descriptors,
    )  # fmt: skip
    end.started()
    sent, closed = _serve(end, process, answer)
    out, err = process.communicate(timeout=20)
    if not closed:
        sent += end.read() or b""
        end.close()
    assert process.returncode == 0, err
    return out, err, sent


def _serve(end, process, answer: Answer) -> tuple[bytes, bool]:
    side, sent, number = policy_side("frames"), b"", 0
    while process.poll() is None:
        select.select([end.fileno()], [], [], 0.05)
        data = end.read()
        if not data:
            continue
        sent += data
        for _, message in side.feed(data):
            if isinstance(message, Question):
                numbers = np.frombuffer(message.record[:-12], "<i8")
                reply = answer(number, int(numbers.sum()))
                number += 1
                if reply is None:
                    end.close()
                    return sent, True
                end.write(reply)
    return sent, False


def advise(number: int, value: int) -> bytes:
    return policy_side("frames").advise(struct.pack("<q", value))


def test_c_cpp_and_python_send_the_same_bytes(
    programs: dict[str, Path], tmp_path: Path
):
    sent = []
    for language, program in programs.items():
        folder = tmp_path / language.replace("+", "p")
        folder.mkdir()
        out, err, raw = talk(program, folder, advise, size=3)
        assert out.split()[:3] == ["3", "0", "0"] and err == ""
        sent.append(raw)
    sent.append(python_bytes(tmp_path))
    assert len(set(sent)) == 1 and len(sent[0]) > 300


def python_bytes(folder: Path) -> bytes:
    """What Python's client sends for the same questions."""
    end = transports.endpoint("fifo", folder / "python")
    features = [TensorSpec("x", "int64_t", (3,)), TensorSpec("n", "float")]
    sent = b""
    with Client(end.address, features, TensorSpec("sum", "int64_t")) as client:
        client.context('all "quoted"')
        for n, x in enumerate(inputs(3, 3)):
            end.write(advise(n, int(x.sum())))
            assert client({"x": x, "n": n}, default=-1) == x.sum()
            client.reward(n / 2)
    sent = end.read() or b""
    end.close()
    return sent


def inputs(count: int, size: int) -> np.ndarray:
    """bridge_asking.c's numbers, [count, size]."""
    state, mask, found = 88172645463325252, (1 << 64) - 1, []
    for _ in range(count * size):
        state ^= state << 13 & mask
        state ^= state >> 7
        state ^= state << 17 & mask
        found.append(state % 2001 - 1000)
    return np.array(found).reshape(count, size)


def test_a_silent_host_means_the_default_from_then_on(program: Path, tmp_path: Path):
    def once(number: int, value: int) -> bytes:
        return b"" if number else advise(0, value)

    for transport in transports.TRANSPORTS:
        begun = time.monotonic()
        out, err, _ = talk(
            program,
            tmp_path,
            once,
            transport=transport,
            count=5,
            options="?timeout=0.2",
        )
        assert out.split()[:3] == ["1", "4", "0"], (transport, out, err)
        assert err == "t2t bridge: no answer in 0.2 s: the default from now on\n"
        assert time.monotonic() - begun < 5


def test_a_late_answer_is_never_taken_for_the_next(program: Path, tmp_path: Path):
    def late(number: int, value: int) -> bytes:
        time.sleep(0.3)
        return advise(number, value)

    out, err, sent = talk(program, tmp_path, late, options="?timeout=0.1")
    assert out.split()[:3] == ["0", "3", "0"] and "no answer" in err
    assert sent[-8:] != struct.pack("<IBBH", 0, 5, 0, 0)  # no word of an end


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_a_host_that_dies_means_the_default(
    transport: str, program: Path, tmp_path: Path
):
    """The compiler goes on: no signal ends it, and it does not spin."""
    out, err, _ = talk(
        program,
        tmp_path,
        lambda number, value: advise(number, value) if number < 2 else None,
        transport=transport,
        count=200,
    )
    assert out.split()[:3] == ["2", "198", "0"]
    assert err == "t2t bridge: the host is gone: the default from now on\n"


def test_refusals_and_foreign_protocols(program: Path, tmp_path: Path):
    refusal = policy_side("frames").refuse("x" * 1000)
    for reply, message in (
        (policy_side("frames").refuse("not today"), "not today"),
        (refusal, "x" * 199 + ": the default"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak this protocol"),
        (policy_side("frames").advise(b"abcd"), "does not speak this protocol"),
    ):
        out, err, _ = talk(program, tmp_path, lambda n, v, reply=reply: reply)
        assert out.split()[:3] == ["0", "3", "0"] and message in err
        assert len(err.splitlines()) == 1


def ask(program: Path, address: str, *words: object, **env: str) -> tuple[str, str]:
    done = subprocess.run(
        [program, address, *map(str, words)],
        capture_output=True, text=True, timeout=60, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("default", None),
        ("fifo:/nowhere/x", "cannot open fifo:/nowhere/x (No such file"),
        ("unix:/nowhere/x", "cannot open unix:/nowhere/x (No such file"),
        ("shm:/nowhere/x", "cannot open shm:/nowhere/x (No such file"),
        ("fd:98,99", "cannot open fd:98,99 (Bad file descriptor)"),
        ("model:/nowhere/x", "cannot open model:/nowhere/x (No such file"),
        ("record:/nowhere/x", "cannot open record:/nowhere/x (No such file"),
        ("fifi:/nowhere", "fifi:/nowhere is no address"),
        ("fifo:", "fifo: is no address"),
        ("unix:/" + "x" * 200, "cannot open unix:/xxx"),
    ],
)
def test_without_a_host_the_default_stands(
    program: Path, address: str, message: str | None
):
    out, err = ask(program, address, 4, 3)
    assert out.split()[:3] == ["0", "4", "0"]
    if message is None:
        assert err == ""
    else:
        assert message in err and len(err.splitlines()) == 1


# -- logs and policies -----------------------------------------------------------------


def test_a_log_is_llvms_and_only_whole_ones_stay(program: Path, tmp_path: Path):
    ask(program, f"record:{tmp_path}/a-%p.log", 4, 3)
    ask(program, f"record:{tmp_path}/b.log", 4, 3, "quit")
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".tmp")] == [
        (path := next(tmp_path.glob("a-*.log"))).name
    ]
    (one,) = recorder.read(path)
    assert one.context == 'all "quoted"'
    np.testing.assert_array_equal(one.records["x"], inputs(4, 3))
    np.testing.assert_array_equal(one.records["sum"][:, 0], [-1] * 4)
    np.testing.assert_array_equal(one.scores[:, 0], np.arange(4) / 2)


def policy(size: int, *, seed: int = 0) -> FlatPolicy:
    """All kinds of layers, for bridge_asking.c's questions."""
    rng = np.random.default_rng(seed)
    n = lambda *shape: rng.normal(size=shape).astype("f4")  # noqa: E731
    width = size + 1
    before = [
        Standardise(n(width), np.full(width, 1 / 400, "f4")),
        Bucketise(tuple(np.sort(n(k)) for k in rng.integers(0, 40, width))),
        Squares(),
        Standardise(np.full(2 * width, 0.4, "f4"), np.full(2 * width, 3, "f4")),
    ]
    sizes = [2 * width, 40, 40, 20, 5]
    kernels = [
        (n(a, b) / np.float32(np.sqrt(a)), n(b))
        for a, b in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    features = (TensorSpec("n", "float"), TensorSpec("x", "int64_t", (size,)))
    advice = TensorSpec("sum", "int64_t")
    made = flat.mlp(features, advice, kernels, before=before)
    # So that no choice is the best one everywhere.
    x = rng.integers(-1000, 1000, (500, width)).astype(np.float32)
    kernels[-1][1][:] -= made.values(x).mean(axis=0)
    return flat.mlp(features, advice, kernels, before=before)


def test_a_policy_decides_in_c_as_in_numpy(
    program: Path, tmp_path: Path, count: int = 10_000
):
    size = 8
    path = policy(size).save(tmp_path / "p.flat")
    out, err = ask(program, f"model:{path}", count, size, "numbers")
    found = np.array([line.split() for line in out.splitlines()], int)
    x = np.concatenate([np.arange(count)[:, None], inputs(count, size)], axis=1)
    expected = policy(size).decide(x.astype(np.float32), None)
    assert err == "" and (found[:, 0] == 1).all()
    np.testing.assert_array_equal(found[:, 1], expected)
    assert len(set(expected.tolist())) > 2


def test_files_of_policies_come_back(tmp_path: Path):
    for size in (1, 8):
        made = policy(size)
        again = flat.load(made.save(tmp_path / "p.flat"))
        assert again.dump() == made.dump() and again.features == made.features
    for content in (b"", made.dump()[:-1], made.dump() + b"\0", b"t2tflat2"):
        (tmp_path / "p.flat").write_bytes(content)
        with pytest.raises(flat.BadPolicy, match="p.flat holds no flat weights"):
            flat.load(tmp_path / "p.flat")


def test_a_policy_of_other_features_is_refused_with_the_difference(
    program: Path, tmp_path: Path
):
    made = policy(8)
    features = (TensorSpec("n", "double"), TensorSpec("weight", "int64_t", (8,)))
    other = FlatPolicy(features, made.advice, made.layers).save(tmp_path / "p")
    out, err = ask(program, f"model:{other}", 3, 8)
    assert out.split()[:3] == ["0", "3", "0"]
    assert "is of other features (n is float of 1, no weight)" in err
    path = made.save(tmp_path / "q")
    _, err = ask(program, f"model:{path}", 3, 9)
    assert "is of other features (x is int64_t of 9)" in err
    path.write_bytes(path.read_bytes()[:-4])
    _, err = ask(program, f"model:{path}", 3, 8)
    assert "q holds no flat weights: the default from now on" in err


def test_python_refuses_it_too():
    made = policy(8)
    asked = Client("fifo:/nowhere", made.features[:1], made.advice).header
    with pytest.raises(flat.BadPolicy, match="no feature x"):
        made.check(asked)


# -- hostile bytes ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The seeds, and what fuzzing has found since."""
    folder = tmp_path_factory.mktemp("corpus")
    for name, content in seeds().items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(HERE / "corpus.zip") as found:
        found.extractall(folder)
    yield folder


def test_the_saved_corpus_under_sanitizers(corpus: Path, tmp_path: Path):
    fuzz = build(
        tmp_path / "fuzz", "fuzz_header.c", "gcc", "c", *SANITIZED, "-std=gnu99"
    )
    files = sorted(corpus.iterdir())
    out, _ = ask(fuzz, *map(str, files))
    assert out == f"{len(files)}\n" and len(files) > len(seeds())


@pytest.mark.slow
def test_thirty_seconds_of_libfuzzer(corpus: Path, tmp_path: Path):
    flags = ("-fsanitize=fuzzer", "-DT2T_LIBFUZZER", "-std=gnu99", *SANITIZED)
    fuzz = build(tmp_path / "fuzz", "fuzz_header.c", "clang", "c", *flags)
    options = ("-max_total_time=30", "-max_len=4096", "-close_fd_mask=2")
    done = subprocess.run(
        [fuzz, *options, corpus], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not list(tmp_path.glob("crash-*"))
