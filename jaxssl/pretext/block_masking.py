"""Masks made of blocks: what is hidden, kept or asked for hangs together.

Each draws for ONE example, with a key of its own, and in counts that do not depend on the draw, so
that a batch of them is one array. A grid is (rows, columns) of patches; N = rows · columns.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.pretext import masking
from jaxssl.types import Array

# More than the ten times that the official code tries to place each of the few blocks of a mask.
_NUM_ATTEMPTS = 100
# Scales and aspect ratios of ``multi_block`` are drawn from as many evenly spaced values each.
_NUM_SHAPES = 65


def blocks(
    key: Array,
    grid: tuple[int, int],
    num_hidden: int | Array,
    *,
    min_patches: int = 16,
    min_aspect: float = 0.3,
) -> Array:
    """Hides rectangular blocks until ``num_hidden`` patches are hidden, exactly.

        s ~ U(min_patches, patches still to hide),   log r ~ U(log min_aspect, -log min_aspect)
        h = round(sqrt(s r)),   w = round(sqrt(s / r)),   corner uniform over the places it fits

    A block that hides no further patch, or more than are still to hide, is drawn again, as in the
    official code. That code gives up after ten such draws, and hides fewer; here there are 100
    draws in all, and what is missing then is made up by single patches drawn at random.

    Args:
        key: PRNG key.
        grid: (rows, columns); a block is smaller than it both ways.
        num_hidden: at most N; may be traced.
        min_patches: area of the smallest block, except where fewer are still to hide.
        min_aspect: of a block, height over width; the highest is 1 / min_aspect.

    Returns:
        bool [N], raster order, True where hidden.

    Raises:
        ValueError: ``num_hidden`` is a number outside 0 ... N, or ``min_aspect`` outside (0, 1].

    Source: Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021, arXiv:2106.08254,
        algorithm 1; masking_generator.py of microsoft/unilm.
    """
    rows, columns = grid
    checks.in_range("blocks", 0, 1, min_aspect=min_aspect, open_left=True)
    if not isinstance(num_hidden, jax.Array):
        checks.in_range("blocks", 0, rows * columns, num_hidden=num_hidden)
    num_hidden = jnp.asarray(num_hidden, jnp.int32)

    def attempt(mask: Array, draws: Array) -> tuple[Array, None]:
        left = (num_hidden - mask.sum()).astype(jnp.float32)
        area = min_patches + draws[0] * (left - min_patches)
        aspect = jnp.exp((2 * draws[1] - 1) * -math.log(min_aspect))
        height = jnp.round(jnp.sqrt(area * aspect))
        width = jnp.round(jnp.sqrt(area / aspect))
        top = jnp.floor(draws[2] * (rows - height + 1))
        first = jnp.floor(draws[3] * (columns - width + 1))
        grown = mask | _rectangle(grid, top, first, height, width)
        num_new = (grown.sum() - mask.sum()).astype(jnp.float32)
        fits = (height < rows) & (width < columns) & (num_new > 0) & (num_new <= left)
        return jnp.where(fits, grown, mask), None

    block_key, rest_key = jax.random.split(key)
    draws = jax.random.uniform(block_key, (_NUM_ATTEMPTS, 4))
    # Nothing is hidden at first; of the draws, so that it differs between devices as they do.
    nothing = jnp.broadcast_to(draws[0, 0] < 0, grid)
    mask, _ = jax.lax.scan(attempt, nothing, draws)
    return _exactly(rest_key, mask.ravel(), num_hidden)


def inverse_blocks(
    key: Array,
    grid: tuple[int, int],
    mask_ratio: float,
    *,
    side: int = 3,
    adjust: float = 0.07,
) -> tuple[Array, Array]:
    """Keeps square blocks, K patches exactly, and masks the rest.

    int(N (1 - mask_ratio + adjust) / side²) centres are drawn, with repetition; each keeps a square
    around it, as far as it lies in the grid. Then patches drawn at random are masked or kept until
    K are kept.

    Args:
        key: PRNG key.
        grid: (rows, columns).
        mask_ratio: fraction of patches to mask; K = masking.num_kept(N, mask_ratio).
        side: of a square, patches.
        adjust: fraction of patches by which squares aim above K, since they overlap.

    Returns:
        keep [K] int32 and masked [N - K] int32: disjoint, ascending, together 0 .. N - 1.

    Raises:
        ValueError: no patch or every patch would be kept, ``side`` is below 1, or ``adjust`` does
            not leave the squares a fraction in [0, 1].

    Source: Baevski et al., Efficient Self-supervised Learning with Contextualized Target
        Representations (data2vec 2.0), 2022, arXiv:2212.07525, section 3.2, "Inverse block
        masking"; compute_block_mask_2d of facebookresearch/fairseq.
    """
    num_patches = math.prod(grid)
    num_kept = masking.num_kept(num_patches, mask_ratio)
    checks.at_least("inverse_blocks", 1, side=side)
    aim = 1 - mask_ratio + adjust
    checks.in_range("inverse_blocks", 0, 1, adjusted_fraction=aim, fix="The published one is 0.27.")
    centre_key, rest_key = jax.random.split(key)
    shape = (int(num_patches * aim / side**2), 2)
    first = jax.random.randint(centre_key, shape, 0, jnp.array(grid)[None]) - side // 2
    squares = jax.vmap(lambda corner: _rectangle(grid, corner[0], corner[1], side, side))(first)
    kept = _exactly(rest_key, squares.any(axis=0).ravel(), jnp.int32(num_kept))
    order = jnp.argsort(~kept).astype(jnp.int32)  # stable: both parts ascend
    return order[:num_kept], order[num_kept:]


def multi_block(
    key: Array,
    grid: tuple[int, int],
    *,
    num_targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.2),
    target_aspect: tuple[float, float] = (0.75, 1.5),
    context_scale: tuple[float, float] = (0.85, 1.0),
) -> tuple[Array, Array]:
    """Draws target blocks, which may overlap, and a large context block without their patches.

        area = int(N scale),   h = round(sqrt(area aspect)),   w = round(sqrt(area / aspect))

    The targets of one example have one size; the context's aspect is 1. To be of a fixed number,
    targets lose rows, the last one in part, from a corner drawn at random, down to the area of the
    smallest block that can be drawn, A. The context has K = C (N - M A) / N patches, rounded down:
    what targets apart from each other leave of the smallest context, C. Where more are left, some
    are dropped at random; where fewer are, patches around the block are taken.

    It differs from the official code, where sizes are drawn once for a batch and sets are cut to
    the smallest of the batch, always at the end of the raster; where one draw decides scale and
    aspect; and where no block reaches the last row or column, so that a context of this scale
    always begins in the first.

    Args:
        key: PRNG key.
        grid: (rows, columns).
        num_targets: M, target blocks.
        target_scale: lowest and highest fraction of the patches in a target.
        target_aspect: lowest and highest height over width of a target.
        context_scale: lowest and highest fraction of the patches in the context block.

    Returns:
        keep [K] int32, the patches of the context, and targets [M, A] int32, both ascending along
        their last axis; no patch is in both.

    Raises:
        ValueError: a scale outside (0, 1], an aspect not above 0, no target, or targets that
            leave no context.

    Source: Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
        Architecture, 2023, arXiv:2301.08243, section 3 and appendix A.1; src/masks/multiblock.py of
        facebookresearch/ijepa.
    """
    checks.at_least("multi_block", 1, num_targets=num_targets)
    for name, scale in (("target_scale", target_scale), ("context_scale", context_scale)):
        values: dict[str, Any] = {name: scale}
        checks.in_range("multi_block", 0, 1, open_left=True, **values)
    checks.above("multi_block", 0, target_aspect=target_aspect)
    target_sizes = _sizes(grid, target_scale, target_aspect)
    context_sizes = _sizes(grid, context_scale, (1.0, 1.0))
    num_asked = int(target_sizes.prod(axis=1).min())
    num_left = math.prod(grid) - num_targets * num_asked
    num_kept = int(context_sizes.prod(axis=1).min()) * num_left // math.prod(grid)
    if num_kept < 1:
        raise ValueError(
            f"multi_block: targets must leave a context; got {num_targets} targets of {num_asked} "
            f"patches on a grid of {grid[0]}x{grid[1]}. Use fewer or smaller targets, or smaller "
            "patches."
        )

    size_key, corner_key, target_key, context_key, rest_key = jax.random.split(key, 5)
    height, width = jax.random.choice(size_key, jnp.asarray(target_sizes))
    mirrored = jax.random.bernoulli(corner_key, shape=(num_targets, 2))

    def target(key: Array, mirrored: Array) -> Array:
        block = _place(key, grid, height, width)
        order = jnp.arange(block.size).reshape(grid)
        order = jnp.where(mirrored[0], order[::-1], order)
        order = jnp.where(mirrored[1], order[:, ::-1], order)
        first = jnp.argsort(jnp.where(block, order.ravel(), block.size))[:num_asked]
        return jnp.sort(first).astype(jnp.int32)

    targets = jax.vmap(target)(jax.random.split(target_key, num_targets), mirrored)
    place_key, size_key = jax.random.split(context_key)
    context = _place(place_key, grid, *jax.random.choice(size_key, jnp.asarray(context_sizes)))
    is_target = jnp.zeros(context.size, bool).at[targets.ravel()].set(True)
    kept = _exactly(rest_key, context & ~is_target, jnp.int32(num_kept), barred=is_target)
    return jnp.argsort(~kept)[:num_kept].astype(jnp.int32), targets


def _sizes(
    grid: tuple[int, int], scale: tuple[float, float], aspect: tuple[float, float]
) -> np.ndarray:
    """Heights and widths int32 [S, 2] of blocks, evenly spaced in scale and aspect.

    Those that rounding makes smaller than the lowest area are left out, if others remain.
    """
    num_patches = math.prod(grid)
    pairs = itertools.product(np.linspace(*scale, _NUM_SHAPES), np.linspace(*aspect, _NUM_SHAPES))
    areas, aspects = np.array([(int(num_patches * share), ratio) for share, ratio in pairs]).T
    sizes = np.stack([np.sqrt(areas * aspects), np.sqrt(areas / aspects)], axis=1).round()
    sizes = np.clip(sizes, 1, grid).astype(np.int32)
    is_large = sizes.prod(axis=1) >= areas.min()
    return sizes[is_large] if is_large.any() else sizes


def _place(key: Array, grid: tuple[int, int], height: Array, width: Array) -> Array:
    """A block somewhere in the grid, bool [N]; every place is equally likely."""
    last = jnp.array(grid) - jnp.stack([height, width])
    top, left = jax.random.randint(key, (2,), 0, last + 1)
    return _rectangle(grid, top, left, height, width).ravel()


def _rectangle(grid: tuple[int, int], top, left, height, width) -> Array:
    """bool [rows, columns], True in a rectangle, as far as it lies in the grid."""
    row, column = (jnp.arange(size, dtype=jnp.asarray(top).dtype) for size in grid)
    in_rows = (row >= top) & (row < top + height)
    in_columns = (column >= left) & (column < left + width)
    return in_rows[:, None] & in_columns[None]


def _exactly(key: Array, mask: Array, count: Array, *, barred: Array | bool = False) -> Array:
    """The mask [N] with exactly ``count`` patches: some more, or some fewer, drawn at random.

    Those ``barred`` come last.
    """
    draws = jax.random.uniform(key, mask.shape) - mask.astype(jnp.float32)
    order = jnp.argsort(jnp.where(barred, 2.0, draws))
    rank = jnp.zeros(mask.size, jnp.int32).at[order].set(jnp.arange(mask.size, dtype=jnp.int32))
    return rank < count
