"""A corpus of a few files of C, made in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from t2t.bridge import llvm
from t2t.problems.compiler.gather import Gatherer
from t2t.problems.compiler.sources import Unit

SOURCE = """
static int square(int x) {{ return x * x + {0}; }}
static int far(int x) {{
  int sum = 0;
  for (int i = 0; i < x; i++) sum += square(i) ^ square(x - i);
  return sum;
}}
int first_{0}(int x) {{ return far(x) + square(x); }}
int second_{0}(int x) {{ return far(x + {0}) - square(3) * far(2); }}
{1}int (*table_{0}[])(int) = {{first_{0}, second_{0}}};
"""
MORE = """
int more_{0}_{1}(int x) {{ return far(x * {1}) - square(x + {1}); }}
"""

VALUES = 30
CROWDED = """
int other(void);
int crowded{0}(int *p, int n) {{
  {1}
  for (int i = 0; i < n; i++) {{ {2} if (!p[i]) other(); }}
  return {3};
}}
"""


def crowded(n: int) -> str:
    """More values in a loop than there are registers."""
    names = [f"x{k}" for k in range(VALUES)]
    begin = " ".join(f"int {x} = p[{k * (n + 1)}];" for k, x in enumerate(names))
    body = " ".join(
        f"{x} = {x} * {k + 3} + {names[(7 * k + n) % VALUES]} + i;"
        for k, x in enumerate(names)
    )
    return CROWDED.format(n, begin, body, " ^ ".join(names))


def clang() -> llvm.Compiler:
    """The newest clang; without one the test is skipped."""
    found = [compiler for compiler in llvm.found() if compiler.path]
    if not found:
        pytest.skip(f"no clang here: {llvm.INSTALL}")
    return found[0]


def units(folder: Path, package: str, count: int, *, full: bool = False) -> list[Unit]:
    """Files of a package; `full` ones have more values than there are registers."""
    made = []
    for n in range(count):
        path = folder / f"{package}{n}.c"
        more = [MORE.format(n + 1, k) for k in range(len(package) % 4 + 2 * n)]
        more += [crowded(len(package) + n)] * full
        path.write_text(SOURCE.format(n + 1, "".join(more)))
        told = ("BSD", f"{package} 1.0")
        made.append(Unit(package, path.name, path, ("-std=gnu17",), folder, *told))
    return made


def corpus(
    folder: Path,
    packages: tuple[str, ...] = ("zlib", "box2d"),
    *,
    full: bool = False,
) -> Path:
    """zlib is of the train split, box2d of dev, bzip2 of test."""
    into = folder / "corpus"
    gatherer = Gatherer(into, clang(), parallel=1)
    for package in packages:
        gatherer.add(units(folder, package, 3, full=full))
    return into
