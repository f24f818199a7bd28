"""What to compile, and how: Debian packages with guessed flags, or a project of yours.

A project's own `compile_commands.json` says how each file is compiled; CMake, Meson and
Bear write it. Where there is none, `t2t-cc --record=FOLDER -- cc …` in place of the
compiler makes the corpus while the project is built. Commands are lists of words: no
shell sees them.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from t2t.problems.compiler.corpus import BadCorpus
from t2t.problems.debian.sources import Sources

# C and C++ that compiles without its configuration, as far as it does.
PACKAGES = (
    "zlib libzstd lz4 xz-utils cjson tinyxml2 fmtlib pugixml re2 snappy libyaml "
    "libev bzip2 libjpeg-turbo libwebp giflib lua5.4 libevent jansson leveldb "
    "minizip yajl http-parser libuv1 libsodium mbedtls protobuf-c brotli expat "
    "zopfli duktape mujs quickjs libtommath libtomcrypt libjsoncpp yaml-cpp "
    "double-conversion simdjson cmark lcms2 openjpeg2 libdeflate utf8proc mpdecimal "
    "liblinear libsvm quirc qrencode box2d soundtouch libmodplug game-music-emu "
    "opus speex lame jbig2dec glpk lp-solve minisat2 chipmunk inih libconfig "
    "hoedown wslay lzo2 picosat tidy-html5 jq oniguruma libtheora libogg libvorbis "
    "flac lua-lpeg chibi-scheme tinyscheme libmicrohttpd libxls freetype harfbuzz "
    "graphite2 woff2 geographiclib gdcm enet openal-soft libharu libpng1.6 sqlite3 "
    "libbsd libmd argon2 libb64 zydis capstone re2c bc gzip sed grep tcc units "
    "ragel md4c advancecomp zpaq wavpack muparser taglib "
    "libebml libmatroska hunspell marisa crfsuite lzip litehtml ninja-build"
).split()
LANGUAGES = {
    ".c": ("-std=gnu17", "-Wno-implicit-function-declaration", "-Wno-int-conversion"),
    ".cc": ("-std=gnu++17",),
    ".cpp": ("-std=gnu++17",),
    ".cxx": ("-std=gnu++17",),
}
# Parts of a path: not what is shipped, or for other machines.
_LEFT_OUT = re.compile(
    r"test|fuzz|example|contrib|linux-kernel|single_file|bench|demo|sample|win32|windows|/arm|aarch64|neon|mips|ppc|"
    r"power|sparc|riscv|wasm|msdos|/dos|os2|amiga|vms|symbian|java|python|swig|"
    r"/doc|\.pc/|debian/"
)
# Words of a recorded command that say what it writes, which is ours to say.
_OUTPUTS = {
    "-o": 2,
    "-MF": 2,
    "-MT": 2,
    "-MQ": 2,
    "-c": 1,
    "-MD": 1,
    "-MMD": 1,
    "-MP": 1,
}
_LEVEL = re.compile(r"-O([0-3sgz]|fast)?|-g.*|-flto.*|-save-temps.*")


@dataclasses.dataclass(frozen=True)
class Unit:
    """A file to be compiled.

    Args:
      package, name: what its module will be called.
      path: of the source.
      flags: of the compiler, without files and levels.
      cwd: that relative ones among them start from.
      licence, origin: for the manifest.
    """

    package: str
    name: str
    path: Path
    flags: tuple[str, ...]
    cwd: Path
    licence: str = "unknown"
    origin: str = ""


def debian(sources: Sources, package: str) -> list[Unit]:
    """The files of a source package.

    Raises:
      problem.DataUnavailable: when there is no such package.
    """
    root = sources.unpack(package)
    licence, version = sources.about(package)
    headers = _headers(root)
    units = []
    for path in sorted(root.rglob("*")):
        inside = str(path.relative_to(root))
        skipped = _LEFT_OUT.search("/" + inside.lower())
        if path.suffix in LANGUAGES and path.is_file() and not skipped:
            flags = (*LANGUAGES[path.suffix], *_includes(path, headers))
            name = plain(inside.partition("/")[2] or inside)
            told = Unit(package, name, path, flags, root, licence, version)
            units.append(told)
    return units


def _headers(root: Path) -> list[Path]:
    """Folders that an #include may start from."""
    found = {path.parent for path in root.rglob("*.h*")}
    found |= {path.parent for path in found if path != root}
    inside = {path: "/" + str(path.relative_to(root)).lower() + "/" for path in found}
    return sorted(path for path, name in inside.items() if not _LEFT_OUT.search(name))


def _includes(source: Path, headers: list[Path]) -> tuple[str, ...]:
    """Its own folder first; others after the system's, the nearest of them first."""

    def distance(folder: Path) -> int:
        shared = os.path.commonpath([folder, source.parent])
        ways = (folder, source.parent)
        return sum(len(way.relative_to(shared).parts) for way in ways)

    others = (("-idirafter", str(path)) for path in sorted(headers, key=distance))
    return (f"-I{source.parent}", *itertools.chain.from_iterable(others))


def recorded(commands: Path, package: str = "") -> list[Unit]:
    """The files that a compile_commands.json names.

    Args:
      package: a name for all of them; the folder's by default.

    Raises:
      BadCorpus: when it is none.
    """
    try:
        found: Any = json.loads(commands.read_text(encoding="utf-8"))
        units = [_recorded(entry, commands, package) for entry in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCorpus(f"{commands} is no compile_commands.json: {error!r}") from None
    return [unit for unit in units if unit.path.suffix in LANGUAGES]


def of_command(words: Sequence[str], path: Path, cwd: Path, package: str) -> Unit:
    """A file as a compiler's command has it.

    Args:
      words: of the command, without the compiler.
      path: of the file; cwd: of the command.
    """
    inside = path.relative_to(cwd) if path.is_relative_to(cwd) else path
    flags = tuple(_flags(words, path, cwd))
    return Unit(package, plain(str(inside)), path, flags, cwd, origin=str(cwd))


def _recorded(entry: dict[str, Any], commands: Path, package: str) -> Unit:
    folder = commands.resolve().parent
    cwd = (folder / entry["directory"]).resolve()
    words = entry.get("arguments") or shlex.split(entry["command"])
    path = (cwd / entry["file"]).resolve()
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    name = plain(package or folder.name)
    flags = tuple(_flags(words[1:], path, cwd))
    return Unit(name, plain(str(inside)), path, flags, cwd, origin=str(folder))


def _flags(words: Sequence[str], path: Path, cwd: Path) -> Iterator[str]:
    """What of a command tells how to compile, and not what or where to."""
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word in _OUTPUTS:
            skip = _OUTPUTS[word] - 1
        elif not _LEVEL.fullmatch(word) and (
            word.startswith("-") or (cwd / word).resolve() != path
        ):
            yield word


def plain(text: str) -> str:
    """A name that any file system takes."""
    return re.sub(r"[^A-Za-z0-9_+.-]", "_", text).strip("._-/") or "module"
