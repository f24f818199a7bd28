"""How much of a file from elsewhere is decoded, and the one way to refuse it."""

from __future__ import annotations

import dataclasses

HINT = "media files need soundfile, soxr, pillow and av: pip install -e '.[omni]'"
MEGA = 2**20


class MediaError(ValueError):
    """A file or reference is refused; one line says what was given and expected."""


class MediaUnavailable(RuntimeError):
    """A library is not installed, which is no fault of the file."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Most of everything; what is over one is refused, never cut.

    Args:
      file_bytes: of the encoded file.
      pixels: height x width of a picture.
      frame_pixels: height x width of a video's frame.
      seconds: of sound, before and after resampling.
      samples: of sound that are kept, 4 bytes each.
      channels: of sound.
      lowest_rate, highest_rate: samples a second, of the file and as wanted.
      film_seconds, film_frames: of a video as it is stored.
      film_bytes: of its frames that are kept.
      deadline: seconds on the wall for decoding one file.
      memory: bytes of the process that decodes, where the system can tell (Linux).
    """

    file_bytes: int = 32 * MEGA
    pixels: int = 16 * MEGA
    frame_pixels: int = 4 * MEGA
    seconds: float = 300.0
    samples: int = 32 * MEGA
    channels: int = 8
    lowest_rate: int = 1_000
    highest_rate: int = 192_000
    film_seconds: float = 60.0
    film_frames: int = 3_600
    film_bytes: int = 128 * MEGA
    deadline: float = 20.0
    memory: int = 448 * MEGA

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"a limit is above 0, but {name} is {value!r}")

    def check_pixels(self, height: int, width: int, *, most: int, what: str) -> None:
        """
        Raises:
          MediaError: when there are none, or more than `most`.
        """
        if height < 1 or width < 1:
            raise MediaError(f"{what} of {width} x {height} pixels has none")
        if height * width > most:
            raise MediaError(
                f"{what} of {width} x {height} pixels: at most {most:,} are read"
            )

    def check_rate(self, rate: int) -> None:
        """
        Raises:
          MediaError: for a rate that no sound has.
        """
        if not self.lowest_rate <= rate <= self.highest_rate:
            raise MediaError(
                f"a sound of {rate:,} samples a second: {self.lowest_rate:,} to "
                f"{self.highest_rate:,} are read"
            )

    def check_channels(self, channels: int) -> None:
        """
        Raises:
          MediaError: for none or too many.
        """
        if not 1 <= channels <= self.channels:
            raise MediaError(
                f"a sound of {channels} channels: 1 to {self.channels} are read"
            )

    def check_sound(self, samples: int, rate: int) -> None:
        """
        Raises:
          MediaError: for too many samples at a rate.
        """
        if samples > self.seconds * rate:
            raise MediaError(
                f"a sound of {samples / rate:,.1f} s or more: at most "
                f"{self.seconds:g} s are read"
            )
        if samples > self.samples:
            raise MediaError(
                f"a sound of {samples:,} samples: at most {self.samples:,} are kept"
            )
