"""What a person sees while training: a bar with ETA on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

# What a line has room for, and how it is called there; metrics.jsonl has all.
SHOWN = {
    "loss": "loss",
    "episode_return": "return",
    "frames": "frames",
    "learning_rate": "rate",
    "targets_per_second": "targets/s",
    "fill": "fill",
    "memory_gb": "GB",
    "epoch": "epoch",
}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Shows steps and numbers.

    Args:
      first, last: the steps that this process will do.
    """

    def __init__(self, first: int, last: int) -> None:
        self._last = last
        self._bar: Any = None
        if sys.stderr.isatty():
            self._bar = tqdm(
                total=last, initial=first, unit="step", dynamic_ncols=True, leave=False
            )
        self._began, self._first = time.monotonic(), first

    def advance(self) -> None:
        if self._bar is not None:
            self._bar.update()

    def line(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._bar is not None:
            tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Shows numbers of a step: beside the bar, or as a line with the ETA."""
        shown = "  ".join(
            f"{label} {_short(values[name])}"
            for name, label in SHOWN.items()
            if name in values
        )
        if self._bar is not None:
            self._bar.set_postfix_str(shown)
            return
        done = max(step - self._first, 1)
        left = (time.monotonic() - self._began) / done * (self._last - step)
        self.line(f"step {step}/{self._last}  {shown}  ETA {clock(left)}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def clock(seconds: float) -> str:
    """75 -> '1:15', 3700 -> '1:01:40'."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _short(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:.1f}k"
    return f"{value:.4g}"
