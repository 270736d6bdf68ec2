"""What a ViT can be given: images, patches to keep or patches to hide; else one clear error."""

import jax.numpy as jnp

from jaxssl.models import patches
from jaxssl.types import Array


def check(images: Array, keep: Array | None, patch_size: int) -> tuple[int, int]:
    """Checks images and the patches to keep of them.

    Args:
        images: see ``ViT``, as for the next.
        keep: None for all.
        patch_size: side of a patch, pixels.

    Returns:
        (rows, columns) of patches.

    Raises:
        ValueError: shapes that do not fit the patch size or each other.
        TypeError: ``keep`` not of integers.
    """
    if images.ndim != 4:
        raise ValueError(
            f"ViT: images must be [B, H, W, C]; got shape {images.shape}. Add a batch axis?"
        )
    height, width = images.shape[1:3]
    rows, columns = patches.patch_grid(height, width, patch_size, caller="ViT")
    if keep is None:
        return rows, columns
    if not jnp.issubdtype(keep.dtype, jnp.integer):
        raise TypeError(f"ViT: keep must hold integer patch indices; got {keep.dtype}.")
    num_images = images.shape[0]
    if keep.ndim != 2 or keep.shape[0] != num_images or not 0 < keep.shape[1] <= rows * columns:
        raise ValueError(
            f"ViT: keep must be [B, K] with B = {num_images} images and 0 < K <= "
            f"{rows * columns} patches; got shape {keep.shape}."
        )
    return rows, columns


def check_hidden(
    hide: Array | None,
    mask_token: Array | None,
    keep: Array | None,
    shape: tuple[int, int],
    width: int,
) -> None:
    """Checks that hidden patches are given whole.

    Args:
        hide: see ``ViT``, as for the next two.
        mask_token: what hidden patches become.
        keep: which must not be given beside them.
        shape: (B, N), images and patches of each.
        width: D.

    Raises:
        ValueError: one without the other, ``keep`` beside them, or a shape or dtype that is wrong.
    """
    if (hide is None) != (mask_token is None) or not (hide is None or keep is None):
        given = {"hide": hide, "mask_token": mask_token, "keep": keep}
        named = ", ".join(name for name, value in given.items() if value is not None)
        raise ValueError(
            f"ViT: hide and mask_token must come together, and without keep; got {named}."
        )
    if hide is None or mask_token is None:
        return
    if hide.shape != shape or hide.dtype != jnp.bool_:
        raise ValueError(
            f"ViT: hide must be bool [B, N], here {list(shape)}; got {hide.dtype} "
            f"{list(hide.shape)}."
        )
    if mask_token.shape != (width,):
        raise ValueError(
            f"ViT: mask_token must be [D], here [{width}]; got {list(mask_token.shape)}."
        )


def check_prefix(
    prefix: Array | None, keep: Array | None, num_images: int, *, causal: bool = False
) -> None:
    """Checks how many patches are seen by all.

    Args:
        prefix: see ``ViT``.
        keep: which must not be given beside it.
        num_images: B.
        causal: whether patches see those before them alone.

    Raises:
        ValueError: ``keep`` beside it or beside causal attention, or a shape that is wrong.
        TypeError: no integers.
    """
    if causal and keep is not None:
        raise ValueError(
            "ViT: keep must come without causal attention, for which every patch before another "
            "is there; got both. Leave --encoder.causal out."
        )
    if prefix is None:
        return
    if keep is not None:
        raise ValueError("ViT: prefix must come without keep; got prefix, keep.")
    if prefix.shape != (num_images,):
        raise ValueError(f"ViT: prefix must be [B], here [{num_images}]; got {list(prefix.shape)}.")
    if not jnp.issubdtype(prefix.dtype, jnp.integer):
        raise TypeError(f"ViT: prefix must hold integers; got {prefix.dtype}.")
