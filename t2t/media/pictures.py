"""Pictures in files: PNG, JPEG, WebP, and the first frame of a GIF.

Read as uint8 [H, W, 3], the right way up (EXIF), what is transparent over white.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from t2t.media import files, headers, isolation
from t2t.media.limits import HINT, Limits, MediaError, MediaUnavailable

FITS = ("pad", "crop", "stretch")


def read_picture(
    source: files.Source,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "pad",
    declared: str = "",
    limits: Limits | None = None,
) -> np.ndarray:
    """uint8 [H, W, 3].

    Args:
      source: bytes of a file, or its path.
      size: (H, W) that is wanted; None for the file's own.
      fit: how `resized` gets there.
      declared: media type or name of the format, which is held to it.

    Raises:
      MediaError: for anything but a whole picture within the limits.
      MediaUnavailable: when a library is missing.
    """
    limits = limits or Limits()
    check_size(size, fit, limits.pixels)
    data = files.load(source, limits=limits)
    format = files.recognise(data, among=files.PICTURES, declared=declared)
    _, (pixels,) = isolation.decode(
        "picture", data, limits=limits, format=format, size=size, fit=fit
    )
    return pixels


def resized(pixels: np.ndarray, size: tuple[int, int], *, fit: str = "pad") -> Any:
    """Pixels [H, W, 3] in another size, smoothed (Lanczos).

    Args:
      size: (H, W).
      fit: 'pad' shows all of it, in the middle of black; 'crop' fills the size and
        loses what is over, the same on both sides; 'stretch' takes no heed.
    """
    if pixels.shape[:2] == tuple(size):
        return pixels
    image = _pillow()
    (height, width), (high, wide) = pixels.shape[:2], size
    scales = (high / height, wide / width)
    scale = min(scales) if fit == "pad" else max(scales)
    inner = (max(1, round(height * scale)), max(1, round(width * scale)))
    if fit == "stretch":
        inner = size
    drawn, box = image.fromarray(pixels), None
    if fit == "crop":
        # Of what is there, so that nothing huge is made on the way.
        across, down = wide / scale, high / scale
        left, top = (width - across) / 2, (height - down) / 2
        box, inner = (left, top, left + across, top + down), size
    scaled = drawn.resize(inner[::-1], image.Resampling.LANCZOS, box=box)
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (high - inner[0]) // 2, (wide - inner[1]) // 2
    canvas[top : top + inner[0], left : left + inner[1]] = np.asarray(scaled)
    return canvas


def check_size(size: tuple[int, int] | None, fit: str, most: int) -> None:
    """
    Raises:
      MediaError: for a size or fit that cannot be had.
    """
    if fit not in FITS:
        raise MediaError(f"there is no fit {fit!r}, only {', '.join(FITS)}")
    if size is not None:
        Limits().check_pixels(*size, most=most, what="a wanted size")


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 [H, W, 3] or [H, W].

    Raises:
      MediaError: for another shape or type.
    """
    shape, kind = pixels.shape, pixels.dtype
    if kind != np.uint8 or len(shape) not in (2, 3) or shape[2:] not in ((), (3,)):
        raise MediaError(f"pixels are {kind} {shape}: uint8 [H, W, 3] is expected")
    buffer = io.BytesIO()
    _pillow().fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: str | Path, pixels: np.ndarray) -> Path:
    """`encode_png` into a file, which is there whole or not at all."""
    return files.store(path, encode_png(pixels))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MediaUnavailable(HINT) from None
    return Image


# -- in the process that decodes -----------------------------------------------------


def decode(
    data: bytes, *, limits: Limits, format: str, size: Any, fit: str
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """({}, [pixels [H, W, 3]])."""
    from PIL import Image, ImageOps

    data = headers.check(data, format, limits=limits)
    Image.MAX_IMAGE_PIXELS = None  # we have a limit of our own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable files
        image = Image.open(io.BytesIO(data), formats=[format.upper()])
        limits.check_pixels(
            image.height, image.width, most=limits.pixels, what="a picture"
        )
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        image = _over_white(image)
    pixels = np.asarray(image)
    return {}, [resized(pixels, tuple(size), fit=fit) if size else pixels]


def _over_white(image: Any) -> Any:
    """An image of whatever mode as RGB."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode[-1] in "Aa" or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, (255, 255, 255))
        canvas.paste(image, mask=image.getchannel("A"))
        return canvas
    return image.convert("RGB")
