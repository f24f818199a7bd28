"""People's speech, to see what judges make of it: digits that a Debian package has.

    apt-get install asterisk-core-sounds-en-g722

One speaker says each digit once; a number is spliced of them, as by telephone systems.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from t2t.media.messages import RATE
from t2t.problems.omni.sentences import DIGITS
from t2t.problems.problem import DataUnavailable

PACKAGE = "asterisk-core-sounds-en-g722"
FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")


class Recordings:
    """Says what can be spliced of recorded digits.

    Raises:
      DataUnavailable: where the package is not installed, or PyAV.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        if not folder.is_dir():
            raise DataUnavailable(
                f"what judges make of people's speech: apt-get install {PACKAGE}"
            )
        self._words = {
            word: _samples(folder / f"{digit}.g722")
            for digit, word in enumerate(DIGITS["en"])
        }

    def say(self, text: str) -> np.ndarray | None:
        """float32 [N] at 16 kHz; None of a text with other words than digits."""
        words = text.split()
        if not words or not set(words) <= set(self._words):
            return None
        return np.concatenate([self._words[word] for word in words])


def _samples(path: Path) -> np.ndarray:
    """Of a file of G.722, which has no header: always one channel of 16 kHz."""
    try:
        import av
    except ImportError:
        raise DataUnavailable(
            "people's speech needs PyAV: pip install -e '.[omni]'"
        ) from None
    with av.open(str(path), format="g722") as file:
        frames = [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]
        assert file.streams.audio[0].rate == RATE
    return np.concatenate(frames).astype(np.float32) / 32768.0
