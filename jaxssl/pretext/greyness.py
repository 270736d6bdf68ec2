"""Whether images hold colours at all, without which a task that asks for colours teaches nothing.

Colours are in Lab units (``colorspace``); everything here is NumPy, before a run.
"""

import numpy as np

from jaxssl import colorspace

# Zhang et al. keep an image only if some pixel is farther than this from grey, along a or along b.
LEAST_COLOR = 5
NUM_CHECKED = 200  # images
_SIDE = 64  # pixels of an image that are looked at, along a side, about
_LEAST_SHARE = 0.01  # of the images


def check_has_color(caller: str, images: np.ndarray) -> None:
    """Refuses images that are grey, whether they have one channel or three that are alike.

    Args:
        caller: opens the message, such as the method's name.
        images: uint8 [N, H, W, C], of which 200 are looked at, evenly spaced.

    Raises:
        ValueError: of fewer than one image in a hundred some pixel is a colour; see ``has_color``.
    """
    if images.shape[-1] == 1:
        raise ValueError(
            f"{caller}: the images must hold colours, which it asks for; got images of 1 channel. "
            "Set data.channels to 3 if they are coloured, or choose another method."
        )
    rows = np.linspace(0, len(images) - 1, min(NUM_CHECKED, len(images))).astype(int)
    num_colored = sum(has_color(images[row]) for row in rows.tolist())
    if num_colored < _LEAST_SHARE * len(rows):
        raise ValueError(
            f"{caller}: the images must hold colours, which it asks for; got grey ones: of "
            f"{len(rows)} looked at, {num_colored} hold any. Choose coloured images, or another "
            "method."
        )


def has_color(image: np.ndarray) -> bool:
    """Whether some pixel is farther than 5 from grey, along a or along b.

    Args:
        image: uint8 [H, W, 3]; of a large one every so manyth pixel is looked at.
    """
    height, width = (max(side // _SIDE, 1) for side in image.shape[:2])
    pixels = image[::height, ::width]
    if (pixels == pixels[..., :1]).all():
        return False
    ab = colorspace.rgb_to_lab(pixels / 255.0)[..., 1:]
    return bool((np.abs(ab) > LEAST_COLOR).any())
