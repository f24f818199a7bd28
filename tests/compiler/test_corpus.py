"""Corpora: made, gone on with, and what is wrong with them said."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import compiler_toys as toys
import pytest

from t2t.bridge.episodes import Episode, Job, echo
from t2t.bridge.host import Host
from t2t.problems.compiler import elf, measure
from t2t.problems.compiler.corpus import BadCorpus, Corpus, split_of
from t2t.problems.compiler.gather import Gatherer
from t2t.problems.compiler.sources import recorded


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.corpus(tmp_path_factory.mktemp("corpus"))


def test_a_corpus_says_what_the_default_is(made: Path, tmp_path: Path) -> None:
    """Its sizes are those of plain -Oz, its decisions those that LLVM itself makes."""
    corpus = Corpus(made)
    assert [m.key for m in corpus.of("train")] == [f"zlib/zlib{n}.c" for n in range(3)]
    assert len(corpus.of("dev")) == 3 and not corpus.of("test")
    compiler = toys.clang()
    for module in corpus.modules[:2]:
        known = corpus.defaults(module)
        assert len(known.seen) == len(known.advice) == module.decisions > 2
        assert known.seen.shape[1] == len(corpus.header.features)
        assert {caller for caller, _ in known.pairs} <= {"far", *known.functions}
        plain = tmp_path / "plain.o"
        with Host(echo, parallel=1) as host:
            path = corpus.bitcode(module)
            (result,) = host.run([Job(compiler.command(path, plain))])
        assert isinstance(result, Episode)
        code = elf.read(plain)
        assert (code.text, code.functions) == (module.text, known.functions)
        assert module.licence == "BSD"


@pytest.mark.skipif(not shutil.which("llvm-size"), reason="no llvm-size here")
def test_code_weighs_what_llvm_size_says(tmp_path: Path) -> None:
    for unit in toys.units(tmp_path, "any", 2):
        output = tmp_path / "any.o"
        words = toys.clang().command(unit.path, output, flags=("-ffunction-sections",))
        subprocess.run(words, check=True)
        told = subprocess.run(
            ["llvm-size", "-A", output], check=True, capture_output=True, text=True
        ).stdout
        rows = (line.split() for line in told.splitlines())
        text = sum(int(r[1]) for r in rows if r and r[0].startswith(".text"))
        assert elf.read(output).text == text > 0


@pytest.mark.parametrize(
    "raw", [b"", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 200]
)
def test_what_is_no_object_is_refused(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.o").write_bytes(raw)
    with pytest.raises(elf.NotAnObject, match=r"x\.o"):
        elf.read(tmp_path / "x.o")


def test_gathering_goes_on_where_it_was(tmp_path: Path) -> None:
    units = toys.units(tmp_path, "zlib", 3)
    units[1].path.write_text("this is no C")
    folder = tmp_path / "corpus"
    assert Gatherer(folder, toys.clang()).add(units[:2]) == 1
    # Killed in the middle of a line.
    manifest = folder / "modules.jsonl"
    whole = manifest.read_text()
    manifest.write_text(whole + whole[:40])
    assert [m.name for m in Corpus(folder).modules] == ["zlib0.c"]
    assert Gatherer(folder, toys.clang()).add(units) == 1
    assert [m.name for m in Corpus(folder).modules] == ["zlib0.c", "zlib2.c"]
    assert Gatherer(folder, toys.clang()).add(units) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"package": "../../etc"}, "no name"),
        ({"name": "a; rm -rf $HOME"}, "no name"),
        ({"name": "-o"}, "no name"),
        ({"sha256": "0"}, "no hash"),
        ({"more": 1}, "more"),
        ({"package": 3}, "expected string"),
    ],
)
def test_a_poisoned_manifest_is_refused(
    made: Path, tmp_path: Path, change: dict, says: str
) -> None:
    folder = shutil.copytree(made, tmp_path / "c")
    first, *rest = (folder / "modules.jsonl").read_text().splitlines()
    line = json.dumps({**json.loads(first), **change})
    (folder / "modules.jsonl").write_text("\n".join([line, *rest, ""]))
    with pytest.raises(BadCorpus, match=f"(?s):1: .*{says}"):
        Corpus(folder)


def test_what_was_changed_or_leads_outside_is_not_compiled(
    made: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(made, tmp_path / "c")
    corpus = Corpus(folder)
    one, two = corpus.modules[:2]
    path = folder / "bitcode" / one.package / f"{one.name}.bc"
    path.write_bytes(b"BC")
    with pytest.raises(BadCorpus, match="another hash"):
        corpus.bitcode(one)
    path = folder / "bitcode" / two.package / f"{two.name}.bc"
    path.rename(tmp_path / "elsewhere.bc")
    path.symlink_to(tmp_path / "elsewhere.bc")
    with pytest.raises(BadCorpus, match="outside"):
        corpus.bitcode(two)
    (folder / "corpus.json").unlink()
    with pytest.raises(BadCorpus, match="t2t-datagen"):
        Corpus(folder)


def test_splits_are_by_package_and_fixed() -> None:
    assert [split_of(p) for p in ("zlib", "box2d", "bzip2")] == ["train", "dev", "test"]


def test_commands_that_were_recorded(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    commands = [
        {
            "directory": str(tmp_path),
            "file": "src/a.c",
            "command": "cc -O2 -g -DX='a b' -Iinclude -c src/a.c -o a.o -MD -MF a.d",
        },
        {
            "directory": "src",
            "file": "b.cc",
            "arguments": ["c++", "-std=c++20", "-c", "b.cc", "-o", "b.o"],
        },
        {"directory": ".", "file": "x.S", "arguments": ["cc", "-c", "x.S"]},
    ]
    path = tmp_path / "compile_commands.json"
    path.write_text(json.dumps(commands))
    one, two = recorded(path, "mine")
    assert one.flags == ("-DX=a b", "-Iinclude") and one.name == "src_a.c"
    assert two.flags == ("-std=c++20",) and two.cwd == tmp_path / "src"
    path.write_text('{"no": "list"}')
    with pytest.raises(BadCorpus, match=r"compile_commands\.json"):
        recorded(path)


def test_remarks_are_in_the_order_of_the_questions(tmp_path: Path) -> None:
    (unit,) = toys.units(tmp_path, "zlib", 1)
    compiler, output = toys.clang(), tmp_path / "a.o"
    with Host(echo, parallel=1) as host:
        (result,) = host.run([measure.job(compiler, unit.path, output)])
    assert isinstance(result, Episode)
    found = measure.outcome(result, output)
    assert len(found.pairs) == result.decisions
    assert found.pairs[0] == ("far", "square")
    assert not list(tmp_path.glob("*.yaml")) and not output.exists()
