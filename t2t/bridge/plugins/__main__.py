"""python -m t2t.bridge.plugins COMPILER…: builds plug-ins, prints where they are."""

from __future__ import annotations

import sys

from t2t.bridge.plugins import CannotBuild, build


def main(compilers: list[str]) -> int:
    if not compilers or "--help" in compilers:
        print(__doc__, file=sys.stderr)
        return 2
    for compiler in compilers:
        try:
            print(build(compiler))
        except CannotBuild as error:
            print(f"{compiler}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
