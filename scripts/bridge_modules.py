"""Real C and C++ as bitcode: Debian packages, compiled with guessed flags."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from t2t.bridge.episodes import Job, echo  # noqa: E402
from t2t.bridge.host import Host  # noqa: E402
from t2t.bridge.llvm import Compiler  # noqa: E402
from t2t.problems.debian.sources import Sources  # noqa: E402
from t2t.problems.problem import DataUnavailable  # noqa: E402

FOLDER = ROOT / "runs" / "bridge"
PACKAGES = (
    "zlib libzstd lz4 xz-utils cjson tinyxml2 fmtlib pugixml re2 snappy libyaml libev "
    "bzip2 libjpeg-turbo libwebp giflib lua5.4 libevent jansson leveldb minizip yajl "
    "http-parser libuv1 libsodium mbedtls protobuf-c flac libogg libvorbis opus "
    "libsamplerate speex mpg123 libpng1.6 libtiff json-c check"
)
SUFFIXES = {".c": ("-std=gnu17",), ".cc": (), ".cpp": (), ".cxx": ()}
LEFT_OUT = ("test", "fuzz", "example", "contrib", "bench", "doc", "win32", "arm")


def unpacked(folder: Path, names: list[str]) -> Iterator[Path]:
    """The sources of each package that can be had."""
    archive = Sources(folder / "debian")
    for name in names:
        try:
            yield archive.unpack(name)
        except DataUnavailable as error:
            print(f"left out: {error}", file=sys.stderr)


def bitcode(compiler: Compiler, folder: Path, sources: list[Path]) -> list[Path]:
    """Modules of this compiler's, made once; what does not compile is left out."""
    into = folder / compiler.name
    into.mkdir(parents=True, exist_ok=True)
    jobs, made = [], []
    for package in sources:
        headers = {p.parent for p in package.rglob("*.h*")}
        includes = [f"-I{path}" for path in sorted(headers)]
        for path in sorted(package.rglob("*")):
            name = str(path.relative_to(package)).lower()
            if path.suffix not in SUFFIXES or any(w in name for w in LEFT_OUT):
                continue
            output = into / f"{package.name}-{name.replace('/', '_')}.bc"
            failed = output.with_suffix(".failed")
            made.append(output)
            if not output.exists() and not failed.exists():
                flags = ("-emit-llvm", "-Xclang", "-disable-llvm-passes", "-w")
                more = (*flags, *SUFFIXES[path.suffix], *includes)
                command = compiler.command(path, output, flags=more)
                jobs.append(Job(command, tag=failed))
    with Host(echo) as host:
        for result in host.run(jobs):
            if result.status:
                result.job.tag.touch()
    return [path for path in made if path.exists()]
