"""The overlapping patches of contrastive predictive coding.

Patches stand in a grid of R rows and R columns over a square image; neighbours share pixels where
the stride is smaller than the patch, which is why predictions skip the nearest rows.

Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018,
arXiv:1807.03748, section 3.3.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import checks
from jaxssl.types import Array


def grid_rows(size: int, *, patch_size: int, stride: int) -> int:
    """Rows of patches in a square image, and as many columns.

    R = (size - patch_size) / stride + 1; 7 for 256, 64 and 32 as published.

    Args:
        size: side of the image, pixels.
        patch_size: side of a patch, pixels.
        stride: pixels from one patch to the next.

    Returns:
        R, at least 1.

    Raises:
        ValueError: patches that do not end where the image ends.
    """
    if not (1 <= patch_size <= size and stride >= 1) or (size - patch_size) % stride:
        raise ValueError(
            "grid_rows: patches must cover the image from edge to edge, size = patch_size + n · "
            f"stride; got size {size}, patch_size {patch_size}, stride {stride}. "
            "Published: 256, 64 and 32; for 28 pixels 8 and 4."
        )
    return (size - patch_size) // stride + 1


def overlapping_patches(image: Array, *, patch_size: int, stride: int) -> Array:
    """Cuts a square image into a grid of patches that may overlap.

    patches[r, s] = image[r · stride : r · stride + patch_size, the same for s].

    Args:
        image: [H, H, C], any dtype.
        patch_size: p, side of a patch, pixels.
        stride: pixels from one patch to the next.

    Returns:
        [R, R, p, p, C], rows by columns, the dtype of ``image``.

    Raises:
        ValueError: an image that is not square, or that the patches do not cover.
    """
    if image.ndim != 3 or image.shape[0] != image.shape[1]:
        raise ValueError(
            f"overlapping_patches: an image must be square, [H, H, C]; got shape {image.shape}. "
            "Crop it to a square first, and map over a batch with jax.vmap."
        )
    rows = grid_rows(image.shape[0], patch_size=patch_size, stride=stride)
    starts = [stride * row for row in range(rows)]
    strips = jnp.stack([image[top : top + patch_size] for top in starts])
    cells = [strips[:, :, left : left + patch_size] for left in starts]
    return jnp.stack(cells, axis=1)


def random_subcrop(key: Array, patch: Array, *, size: int) -> Array:
    """Cuts a random square out of a patch and pads it back to the patch's size with zeros.

    The square is moved to the middle, so that content shifts from patch to patch by up to
    (p - size) / 2 pixels each way and edges do not continue into the neighbour: the paper crops 60
    of 64 pixels and pads; where the padding goes and its value are not stated there.

    Args:
        key: PRNG key.
        patch: [p, p, C], any dtype.
        size: side of the square, 1 ... p pixels; p changes nothing.

    Returns:
        [p, p, C], the dtype of ``patch``.

    Raises:
        ValueError: a size that does not fit the patch.

    Source: van den Oord et al., 2018, section 3.3.
    """
    patch_size = patch.shape[0]
    checks.in_range("random_subcrop", 1, patch_size, size=size, fix="Published: 60 of 64.")
    spare = patch_size - size
    top, left = jax.random.randint(key, (2,), 0, spare + 1, jnp.int32)
    square = lax.dynamic_slice(patch, (top, left, jnp.int32(0)), (size, size, patch.shape[-1]))
    before = spare // 2
    return jnp.pad(square, ((before, spare - before), (before, spare - before), (0, 0)))
