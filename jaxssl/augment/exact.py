"""Colours and blur as torchvision computes them on float images, for views as published.

What ``color`` and ``geometry`` join into one map is done here one operation after the other: the
order of the jitter is drawn, values are clipped to [0, 1] after each of its operations, hue turns
the circle of HSV, and the blur mirrors the image at its border. Every function equals torchvision's
of the same image and the same factor up to rounding of float32; the crops of ``geometry`` and
``color.solarize`` do so already. Sources: torchvision.transforms, ColorJitter, RandomGrayscale and
GaussianBlur.

Here too there is no branch: an order that differs between images costs six blends and one turn of
hue, whatever it is.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.augment import geometry
from jaxssl.types import Array

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # as torchvision numbers them in an order
# Its red weighs 0.2989, not 0.299, so that white has a luma of 0.9999.
LUMA = np.array([0.2989, 0.587, 0.114], np.float32)


def brightness(image: Array, factor: Array | float) -> Array:
    """factor · image, clipped; [H, W, C] float32 in [0, 1] to the same; 1 is the identity."""
    return _blend(image, 0.0, factor)


def contrast(image: Array, factor: Array | float) -> Array:
    """factor · image + (1 - factor) · its mean luma, clipped; shapes as of ``brightness``."""
    return _blend(image, _luma(image).mean(), factor)


def saturation(image: Array, factor: Array | float) -> Array:
    """factor · image + (1 - factor) · luma of each pixel, clipped; only of three channels."""
    return _blend(image, _luma(image), factor) if image.shape[-1] == 3 else image


def hue(image: Array, shift: Array | float) -> Array:
    """Turns the hue of HSV; the largest and the smallest channel of a pixel keep their values.

    Args:
        image: [H, W, C] float32 in [0, 1]; without exactly three channels it comes back as it is.
        shift: scalar, turns in [-0.5, 0.5]; 0 is the identity up to rounding.

    Returns:
        [H, W, C] float32 in [0, 1].
    """
    if image.shape[-1] != 3:
        return image
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    largest = jnp.maximum(jnp.maximum(red, green), blue)
    smallest = jnp.minimum(jnp.minimum(red, green), blue)
    chroma = largest - smallest
    divisor = jnp.where(chroma == 0.0, 1.0, chroma)
    sixths = jnp.where(
        largest == red,
        (green - blue) / divisor,
        jnp.where(largest == green, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    sixths = sixths + 6.0 * shift
    sixths = sixths - 6.0 * jnp.floor(sixths / 6.0)
    # How far each channel lies above the smallest, of its way to the largest.
    parts = jnp.abs(sixths - 3.0) - 1.0, 2.0 - jnp.abs(sixths - 2.0), 2.0 - jnp.abs(sixths - 4.0)
    heights = jnp.clip(jnp.stack(parts, axis=-1), 0.0, 1.0)
    return smallest[..., None] + chroma[..., None] * heights


def draw_order(draws: Array) -> Array:
    """A uniformly random order of the four operations, [4] int32, of [4] uniform numbers."""
    return jnp.argsort(draws).astype(jnp.int32)


def jitter(image: Array, factors: Array, order: Array) -> Array:
    """The four operations one after the other, each with a clip.

    Args:
        image: [H, W, C] float32 in [0, 1].
        factors: [4] float32: of brightness, contrast and saturation, and the turns of hue.
        order: [4] int32: ``BRIGHTNESS``, ``CONTRAST``, ``SATURATION`` and ``HUE``, each once.

    Returns:
        [H, W, C] float32 in [0, 1]. Without exactly three channels, brightness and contrast alone.
    """
    places = jnp.arange(4)

    def blend(image: Array, step: tuple[Array, Array]) -> tuple[Array, None]:
        operation, happens = step
        luma = _luma(image)
        factor = jnp.sum(jnp.where(places.astype(order.dtype) == operation, factors, 0.0))
        ground = jnp.where(operation == CONTRAST, luma.mean(), luma)
        ground = jnp.where(operation == BRIGHTNESS, 0.0, ground)
        return _blend(image, ground, jnp.where(happens, factor, 1.0)), None  # the image at 1

    # Loops, since XLA would otherwise work out all operations so far anew in each (4 times slower).
    if image.shape[-1] != 3:
        return jax.lax.scan(blend, image, (order, order <= CONTRAST))[0]
    hue_place = jnp.argmax(order == HUE)
    image, _ = jax.lax.scan(blend, image, (order[:3], places[:3] < hue_place))
    image = hue(image, factors[HUE])
    return jax.lax.scan(blend, image, (order[1:], places[1:] > hue_place))[0]


def grayscale(image: Array) -> Array:
    """Replaces the channels of RGB by luma; an image of other channels comes back as it is."""
    return jnp.broadcast_to(_luma(image), image.shape) if image.shape[-1] == 3 else image


def blur(image: Array, sigma: Array | float, *, radius: int) -> Array:
    """Gaussian blur of 2 · radius + 1 pixels a side, of the image mirrored about its border pixels.

    Args:
        image: [H, W, C] float32.
        sigma: scalar >= 0, pixels; 0 gives exactly the image.
        radius: static number of pixels on either side; 0 is the identity.

    Returns:
        [H, W, C] float32; rounding may leave the range of the image, nothing is clipped.

    Raises:
        ValueError: the image is no larger than the radius, so that its mirror image ends.
    """
    if radius >= min(image.shape[:2]):
        raise ValueError(
            f"blur: radius must be below the shorter side of the image; got {radius} and "
            f"{min(image.shape[:2])} pixels. Blur larger images, or with a smaller radius."
        )
    rows, columns = (_blur_matrix(sigma, size=side, radius=radius) for side in image.shape[:2])
    return geometry.apply(image, rows, columns)


def _blur_matrix(sigma: Array | float, *, size: int, radius: int) -> Array:
    """[size, size]: a pixel also counts from behind either border, where its mirror image lies."""

    def weigh(distance: Array) -> Array:
        # At the floor the neighbours' weight exp(-5e5) is 0 in float32, so that 0 needs no branch.
        weights = jnp.exp(-0.5 * (distance / jnp.maximum(sigma, 1e-3)) ** 2)
        return jnp.where(distance <= radius, weights, 0.0)

    pixels = jnp.arange(size, dtype=jnp.float32)
    to, source = pixels[:, None], pixels[None, :]
    before = jnp.where(source > 0, weigh(to + source), 0.0)
    behind = jnp.where(source < size - 1, weigh(2.0 * (size - 1) - to - source), 0.0)
    total = weigh(jnp.abs(jnp.arange(-radius, radius + 1, dtype=jnp.float32))).sum()
    return (weigh(jnp.abs(to - source)) + before + behind) / total


def _blend(image: Array, ground: Array | float, factor: Array | float) -> Array:
    return jnp.clip(factor * image + (1.0 - factor) * ground, 0.0, 1.0)


def _luma(image: Array) -> Array:
    """[H, W, 1]: of RGB; the mean of any other number of channels, which torchvision refuses."""
    if image.shape[-1] != 3:
        return image.mean(axis=-1, keepdims=True)
    red, green, blue = image[..., :1], image[..., 1:2], image[..., 2:]
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
