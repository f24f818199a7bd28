"""The process that decodes for `isolation.py`: python -m t2t.media.worker

It says READY once. Each request is a line of JSON (kind, size, limits, options) and
`size` bytes; each answer a line with 'refused', or 'missing', or 'facts' and the
arrays' [dtype, shape], after which their bytes follow.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import re
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from t2t.media import pictures, reel, track
from t2t.media.isolation import READY
from t2t.media.limits import HINT, Limits, MediaError

Result = tuple[dict[str, Any], list[np.ndarray]]
DECODERS: dict[str, Callable[..., Result]] = {
    "sound": track.decode,
    "picture": pictures.decode,
    "film": reel.decode,
}
# All that a decoder may need: afterwards no file is opened any more.
LIBRARIES = (
    "soundfile", "soxr", "av", "PIL.Image", "PIL.ImageOps", "encodings.idna",
    "encodings.latin_1", "encodings.ascii", "encodings.utf_16", "xml.etree.ElementTree",
)  # fmt: skip


def main() -> int:
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints is an answer
    _import()
    _confine(answers.fileno())
    answers.write(READY)
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["size"])
        limits = Limits(**request["limits"])
        with _bounded(limits):
            answer, arrays = _answer(request["kind"], data, limits, request["options"])
        _send(answers, answer, arrays)
        del data, arrays
    return 0


def _import() -> None:
    for name in LIBRARIES:
        # Without one of them the others still serve.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if image := sys.modules.get("PIL.Image"):
        image.init()
    if av := sys.modules.get("av"):
        # It brings the wrappers of streams in when a file has such a stream.
        for module in pkgutil.walk_packages(av.__path__, "av."):
            if module.name != "av.__main__":
                importlib.import_module(module.name)


def _confine(last: int) -> None:
    """No further file or connection, and no file grows."""
    # A descriptor is to be below the limit; those that are open stay so.
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, last + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextlib.contextmanager
def _bounded(limits: Limits) -> Any:
    """The kernel ends us at the deadline, even where no Python runs."""
    with contextlib.suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory, hard))
    signal.setitimer(signal.ITIMER_REAL, limits.deadline)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(
    kind: str, data: bytes, limits: Limits, options: dict[str, Any]
) -> tuple[dict[str, Any], list[np.ndarray]]:
    try:
        facts, arrays = DECODERS[kind](data, limits=limits, **options)
    except MediaError as error:
        return {"refused": str(error)}, []
    except ImportError:
        return {"missing": HINT}, []
    except MemoryError:
        most = f"{limits.memory:,} bytes of memory"
        return {"refused": f"a {kind} that takes more than {most}"}, []
    except Exception as error:
        reason = getattr(error, "strerror", None) or f"{error}"
        reason = re.sub(r"<_io\.BytesIO[^>]*>", "it", reason)
        reason = " ".join(f"{type(error).__name__}: {reason}".split())[:200]
        return {"refused": f"a {kind} that cannot be decoded ({reason})"}, []
    shapes = [[array.dtype.str, array.shape] for array in arrays]
    return {"facts": facts, "arrays": shapes}, arrays


def _send(answers: BinaryIO, answer: dict[str, Any], arrays: list[np.ndarray]) -> None:
    answers.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        answers.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
