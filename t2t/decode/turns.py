"""Whether somebody speaks: by loudness, and by what the network expects."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

STARTED, STOPPED = "speech_started", "speech_stopped"
SILENCE = 1e-10  # of a mean square: -100 dB


@dataclasses.dataclass(frozen=True)
class TurnOptions:
    """When a user's turn begins and ends, in frames of 40 ms and decibels.

    threshold: above the quietest of the last three seconds that is speech.
    floor: below which it never is.
    before: frames kept from before the first loud one.
    least: quiet frames before the network's word counts.
    sure: its chance, over all quiet frames together, at which the turn is over.
    most: quiet frames after which it is over in any case.
    """

    threshold: float = 12.0
    floor: float = -55.0
    before: int = 3
    least: int = 4
    sure: float = 0.7
    most: int = 17


class TurnDetector:
    """Hears frames one by one; see `TurnOptions`."""

    def __init__(self, options: TurnOptions) -> None:
        self.options = options
        self._levels: collections.deque[float] = collections.deque(maxlen=75)
        self.reset()

    def reset(self) -> None:
        """Nobody speaks."""
        self.speaking, self.quiet, self._goes_on = False, 0, 1.0

    def hear(self, frame: np.ndarray) -> bool:
        """Takes a frame's samples [n] within ±1; whether a turn begins with it."""
        level = 10.0 * np.log10(float(np.mean(np.square(frame))) + SILENCE)
        self._levels.append(level)
        threshold = min(self._levels) + self.options.threshold
        if level <= max(threshold, self.options.floor):
            self.quiet += 1
            return False
        begins = not self.speaking
        self.speaking, self.quiet, self._goes_on = True, 0, 1.0
        return begins

    def over(self, ends: float) -> bool:
        """Whether the turn is over; `ends` is the network's chance that it is here."""
        if not self.quiet:
            return False
        self._goes_on *= 1.0 - ends
        options = self.options
        sure = self.quiet >= options.least and 1.0 - self._goes_on >= options.sure
        return sure or self.quiet >= options.most
