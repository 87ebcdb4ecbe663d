"""Images at another size, bilinear with antialiasing.

    resized(pixels, size_hw) -> pixels

fast_image_resize does it with vector instructions, with the same bits whatever instructions a processor has. It has no wheel
for Linux on ARM; there Pillow does the same, four times as slowly, and a sample may differ by one grey level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

try:
    import cykooz_resizer as vectorised
except ImportError:
    vectorised = None


def resized(pixels: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Returns (h, w, 3) pixels at another size; every sample is the mean of what it covers, weighted by distance."""
    return with_pillow(pixels, size_hw) if vectorised is None else with_vectors(pixels, size_hw)


def with_vectors(pixels: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`resized` by fast_image_resize."""
    algorithm = vectorised.ResizeAlg.convolution(vectorised.FilterType.bilinear)
    source = vectorised.ImageData(pixels.shape[1], pixels.shape[0], vectorised.PixelType.U8x3, pixels.tobytes())
    result = vectorised.ImageData(size_hw[1], size_hw[0], vectorised.PixelType.U8x3)
    vectorised.Resizer().resize(source, result, vectorised.ResizeOptions(resize_alg=algorithm, use_alpha=False))
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(*size_hw, 3)


def with_pillow(pixels: npt.NDArray[np.uint8], size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """`resized` by Pillow."""
    return np.asarray(Image.fromarray(pixels).resize(size_hw[::-1], Image.Resampling.BILINEAR), np.uint8)
