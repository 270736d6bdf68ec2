"""Labels that come with time: the colours of a frame, known from the frames before it."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array


def jittered_frames(key: Array, image: Array, *, num_frames: int, max_shift: int) -> Array:
    """Stands in for a clip where there is but one image: the image under a camera that shakes.

    Frame t is the image moved by whole pixels, by independent numbers from -s to s down and to the
    right; what enters at the border mirrors the image. Nothing in it moves against anything else,
    turns, hides or changes its light, as things in a video do.

    Args:
        key: PRNG key.
        image: [H, W, C], any dtype.
        num_frames: T.
        max_shift: s, pixels, at least 0 and less than H and W.

    Returns:
        [T, H, W, C], the dtype of ``image``.

    Raises:
        ValueError: on an image of another rank, or a shift as large as the image.
    """
    if image.ndim != 3 or not 0 <= max_shift < min(image.shape[:2]):
        raise ValueError(
            "jittered_frames: an image must be [H, W, C] and max_shift in 0 ... min(H, W) - 1; got "
            f"shape {image.shape} and {max_shift}. The usual shift is an eighth of the side."
        )
    margin = (max_shift, max_shift)
    padded = jnp.pad(image, (margin, margin, (0, 0)), mode="reflect")
    starts = jax.random.randint(key, (num_frames, 2), 0, 2 * max_shift + 1, jnp.int32)
    return jax.vmap(lambda start: lax.dynamic_slice(padded, (*start, 0), image.shape))(starts)


def nearest_centre(ab: Array, centres: Array) -> Array:
    """The cluster of each colour.

    Args:
        ab: floating [..., 2], Lab units.
        centres: floating [M, 2], from ``color.ab_clusters``.

    Returns:
        int32 [...] in 0 ... M - 1; the first of those that are equally near.

    Source: Vondrick et al., Tracking Emerges by Colorizing Videos, 2018, arXiv:1806.09594, sec. 3.
    """
    centres = centres.reshape((1,) * (ab.ndim - 1) + centres.shape).astype(ab.dtype)
    distances = jnp.sum(jnp.square(ab[..., None, :] - centres), axis=-1)
    return jnp.argmin(distances, axis=-1).astype(jnp.int32)
