"""Bytes in pieces of any size to messages, without ever waiting for more.

A format is a generator that yields what it waits for, a number of bytes or a line, is
sent exactly that, and hands over messages by `emit`. How much it may wait for is
checked before anything is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import Any

from t2t.bridge.messages import BadMessage
from t2t.bridge.specs import MOST_BYTES

LINE = -1
MOST_LINE = 1 << 20
MOST = MOST_BYTES + MOST_LINE  # of one message, its description included

Format = Generator[int, bytes, None]
Emit = Callable[[Any], None]


class Reader:
    """Drives a format, each of whose messages is emitted with its last bytes.

    Args:
      format: `format(emit)` gives the generator.
    """

    def __init__(self, format: Callable[[Emit], Format]) -> None:
        self._found: list[Any] = []
        # A closure over the list, not a method: it is called for every message.
        self._format = format(lambda message: self._found.append(message))
        self._need = next(self._format)
        self._bytes = bytearray()
        self._begun = False

    @property
    def between(self) -> bool:
        """Whether no message is half read."""
        return not (self._bytes or self._begun)

    def feed(self, data: bytes) -> list[Any]:
        """The messages that these bytes complete.

        Raises:
          BadMessage: when they belong to none.
        """
        kept, emitted = self._bytes, self._found
        if kept:
            kept += data
            del kept[: self._read(kept)]
        elif (used := self._read(data)) < len(data):
            kept += data[used:]
        found = emitted[:]
        emitted.clear()
        return found

    def _read(self, data: bytes | bytearray) -> int:
        """Hands all that is whole to the format; how many bytes that was."""
        at, send, emitted, size = 0, self._format.send, self._found, len(data)
        while True:
            need = self._need
            if need == LINE:
                end = data.find(b"\n", at) + 1
                if not end:
                    if size - at > MOST_LINE:
                        raise BadMessage(f"a line of more than {MOST_LINE} bytes")
                    return at
            elif need <= MOST:
                end = at + need
                if end > size:
                    return at
            else:
                raise BadMessage(f"a message of {need} bytes: at most {MOST}")
            before = len(emitted)
            self._need = send(bytes(data[at:end]))
            self._begun = len(emitted) == before
            at = end


def object_of(raw: bytes) -> dict[str, Any]:
    """The JSON object in these bytes.

    Raises:
      BadMessage: when there is none.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadMessage(f"not JSON: {raw[:80]!r}") from None
    if not isinstance(value, dict):
        raise BadMessage(f"not a JSON object: {raw[:80]!r}")
    return value
