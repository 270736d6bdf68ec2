"""Masks of blocks: exact counts, shapes that hang together, and no favourite place."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxssl import parallel
from jaxssl.pretext import block_masking

GRIDS = [(14, 14), (7, 7), (4, 4), (6, 9)]


def draw(function, key, number, *args, **kwargs):
    """The function of as many keys; on the host."""
    mapped = jax.jit(jax.vmap(lambda key: function(key, *args, **kwargs)))
    return jax.device_get(mapped(jax.random.split(key, number)))


def extent(indices, columns):
    """Rows and columns of the smallest rectangle around patches."""
    at = np.divmod(indices, columns)
    return tuple(int(axis.max() - axis.min()) + 1 for axis in at)


@pytest.mark.parametrize(
    ("grid", "part"),
    [*((grid, 0.4) for grid in GRIDS), ((14, 14), 0.0), ((6, 9), 0.61), ((7, 7), 1.0)],
)
def test_blocks_hide_the_number_asked_for(grid, part, key):
    num_hidden = int(math.prod(grid) * part)
    masks = draw(block_masking.blocks, key, 40, grid, num_hidden, min_patches=4)
    assert masks.shape == (40, math.prod(grid)) and masks.dtype == bool
    np.testing.assert_array_equal(masks.sum(axis=1), num_hidden)


def test_the_number_of_hidden_patches_may_differ_between_examples(key):
    numbers = jnp.arange(0, 49, 3)
    keys = jax.random.split(key, len(numbers))
    masks = jax.jit(jax.vmap(lambda k, n: block_masking.blocks(k, (7, 7), n, min_patches=4)))
    np.testing.assert_array_equal(masks(keys, numbers).sum(axis=1), numbers)


def test_hidden_patches_hang_together(key):
    """BEiT's 75 of 196 lie in a few regions; at random they would lie in dozens."""
    masks = draw(block_masking.blocks, key, 50, (14, 14), 75).reshape(-1, 14, 14)
    num_regions = [ndimage.label(mask)[1] for mask in masks]
    assert np.mean(num_regions) < 4
    shuffled = np.random.default_rng(0).permuted(masks.reshape(50, -1), axis=1)
    assert np.mean([ndimage.label(mask.reshape(14, 14))[1] for mask in shuffled]) > 15


def test_single_patches_make_up_for_blocks_that_do_not_fit(key):
    """Blocks of four patches or more cannot end on 9 of 9, where none may be as large."""
    masks = draw(block_masking.blocks, key, 20, (3, 3), 9, min_patches=4)
    assert masks.all()


def test_blocks_favour_no_side(key):
    """Mirrored either way, and turned where the grid is square, masks are as likely."""
    share = draw(block_masking.blocks, key, 4000, (8, 8), 25).reshape(-1, 8, 8).mean(axis=0)
    # A share of the 4,000 has a standard deviation below 0.008.
    for other in (share[::-1], share[:, ::-1], share.T):
        np.testing.assert_allclose(share, other, atol=0.045)
    assert share.min() > 0.05


@pytest.mark.parametrize(
    ("grid", "mask_ratio"), [*((grid, 0.8) for grid in GRIDS), ((14, 14), 0.5)]
)
def test_inverse_blocks_keep_the_number_asked_for(grid, mask_ratio, key):
    keep, masked = draw(block_masking.inverse_blocks, key, 40, grid, mask_ratio)
    num_patches = math.prod(grid)
    assert keep.shape == (40, int(num_patches * (1 - mask_ratio)))
    assert keep.dtype == masked.dtype == np.int32
    assert (np.diff(keep) > 0).all() and (np.diff(masked) > 0).all()
    together = np.sort(np.concatenate([keep, masked], axis=1), axis=1)
    np.testing.assert_array_equal(together, np.tile(np.arange(num_patches), (40, 1)))


def test_what_inverse_blocks_keep_hangs_together(key):
    """Published numbers: 39 of 196 in squares of 3; five centres, less what is cut at random."""
    keep, _ = draw(block_masking.inverse_blocks, key, 50, (14, 14), 0.8)
    masks = np.zeros((50, 196), bool)
    np.put_along_axis(masks, keep, True, axis=1)
    regions = np.mean([ndimage.label(mask.reshape(14, 14))[1] for mask in masks])
    assert regions < 8
    squares = draw(block_masking.inverse_blocks, key, 50, (14, 14), 0.8, side=1)[0]
    np.put_along_axis(masks := np.zeros((50, 196), bool), squares, True, axis=1)
    assert np.mean([ndimage.label(mask.reshape(14, 14))[1] for mask in masks]) > 15


def test_one_square_is_where_its_centre_is(key):
    """9 of 81 kept in one square of 3: a whole square unless its centre is at the border."""
    keep, _ = draw(block_masking.inverse_blocks, key, 400, (9, 9), 1 - 9 / 81 - 1e-9, adjust=0.01)
    whole = [extent(row, 9) == (3, 3) for row in keep]
    assert abs(np.mean(whole) - 49 / 81) < 4 * math.sqrt(49 / 81 * 32 / 81 / 400)


def test_targets_are_blocks_and_the_context_has_none_of_their_patches(key):
    keep, targets = draw(block_masking.multi_block, key, 60, (14, 14))
    # The smallest target is 5 x 6 of at least int(0.15 · 196) = 29, the smallest context 13 x 13.
    assert targets.shape == (60, 4, 30)
    assert keep.shape == (60, 13 * 13 * (196 - 4 * 30) // 196)
    assert keep.dtype == targets.dtype == np.int32
    assert (np.diff(keep) > 0).all() and (np.diff(targets) > 0).all()
    for kept, blocks in zip(keep, targets):
        assert not set(kept) & set(blocks.ravel())
        sizes = {extent(block, 14) for block in blocks}
        # One size for all; a block may have lost rows.
        heights, widths = zip(*sizes)
        assert len(set(widths)) == 1 and max(heights) - min(heights) <= 1
        assert 4 <= widths[0] <= 7 and max(heights) <= 8
        assert extent(kept, 14) >= (13, 12)


def test_a_context_is_a_block_where_enough_of_it_is_left(key):
    """One target of one patch, and contexts of 9 x 9 in 18 x 18: at most the target is missing."""
    scales = {"num_targets": 1, "target_scale": (1 / 324,) * 2, "context_scale": (0.25,) * 2}
    keep, targets = draw(block_masking.multi_block, key, 40, (18, 18), **scales)
    assert keep.shape == (40, 81 * 323 // 324) and targets.shape == (40, 1, 1)
    assert all(extent(row, 18) in {(9, 9), (9, 8), (8, 9)} for row in keep)


def test_patches_around_a_context_make_up_for_targets_in_it(key):
    """Contexts of 2 x 2 and targets that cover most of the grid."""
    scales = {"num_targets": 3, "target_scale": (0.25,) * 2, "context_scale": (0.25,) * 2}
    keep, targets = draw(block_masking.multi_block, key, 100, (4, 4), **scales)
    assert keep.shape == (100, 4 * (16 - 12) // 16)
    assert all(not set(k) & set(t.ravel()) for k, t in zip(keep, targets))


@pytest.mark.parametrize("grid", GRIDS)
def test_counts_of_multi_block_are_static(grid, key):
    keep, targets = draw(block_masking.multi_block, key, 200, grid)
    assert targets.max() < math.prod(grid) and targets.min() >= 0
    assert all(not set(k) & set(t.ravel()) for k, t in zip(keep, targets))
    assert all(len(set(row)) == len(row) for row in keep)
    assert all(len(set(row)) == len(row) for row in targets.reshape(-1, targets.shape[-1]))


def test_every_place_of_a_target_is_equally_likely(key):
    """Single patches as targets: uniform over the grid, its last row and column included."""
    one = {"num_targets": 1, "target_scale": (1 / 36, 1 / 36), "target_aspect": (1.0, 1.0)}
    _, targets = draw(block_masking.multi_block, key, 3600, (6, 6), **one)
    counts = np.bincount(targets.ravel(), minlength=36)
    assert stats.chisquare(counts).pvalue > 0.01


def test_targets_favour_no_side(key):
    _, targets = draw(block_masking.multi_block, key, 4000, (7, 7))
    share = np.bincount(targets.ravel(), minlength=49).reshape(7, 7) / targets.size * 49
    for other in (share[::-1], share[:, ::-1]):
        np.testing.assert_allclose(share, other, atol=0.08)


FUNCTIONS = {
    "blocks": lambda key: block_masking.blocks(key, (6, 6), 15, min_patches=4),
    "inverse_blocks": lambda key: block_masking.inverse_blocks(key, (6, 6), 0.7),
    "multi_block": lambda key: block_masking.multi_block(key, (6, 6)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_key_fixes_the_mask_and_vmap_changes_nothing(name, key):
    function, keys = FUNCTIONS[name], jax.random.split(key, 3)
    batch, one = jax.jit(jax.vmap(function))(keys), jax.jit(function)
    for row, each in enumerate(keys):
        alone = one(each)
        jax.tree.map(lambda a, b, row=row: np.testing.assert_array_equal(a, b[row]), alone, batch)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_devices_draw_masks_of_their_own(name, key):
    mapped = jax.shard_map(
        jax.vmap(FUNCTIONS[name]),
        mesh=parallel.mesh(axis_name="data"),
        in_specs=jax.P("data"),
        out_specs=jax.P("data"),
    )
    masks = jax.eval_shape(mapped, jax.random.split(key, 16))
    assert all(len(leaf) == 16 for leaf in jax.tree.leaves(masks))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda key: block_masking.blocks(key, (4, 4), 17),
            r"blocks: num_hidden must be in \[0, 16\]",
        ),
        (
            lambda key: block_masking.blocks(key, (4, 4), 5, min_aspect=0.0),
            r"blocks: min_aspect must be in \(0, 1\]; got 0.0",
        ),
        (lambda key: block_masking.inverse_blocks(key, (4, 4), 1.0), "which keeps 0 of 16"),
        (
            lambda key: block_masking.inverse_blocks(key, (4, 4), 0.5, side=0),
            "inverse_blocks: side must be at least 1; got 0",
        ),
        (
            lambda key: block_masking.inverse_blocks(key, (4, 4), 0.5, adjust=0.6),
            r"adjusted_fraction must be in \[0, 1\]; got 1.1",
        ),
        (
            lambda key: block_masking.multi_block(key, (4, 4), target_scale=(0.5, 0.5)),
            "multi_block: targets must leave a context; got 4 targets of 9 patches on a grid of "
            "4x4. Use fewer or smaller targets",
        ),
        (
            lambda key: block_masking.multi_block(key, (4, 4), context_scale=(0.5, 1.5)),
            r"context_scale must be in \(0, 1\]; got \(0.5, 1.5\)",
        ),
        (
            lambda key: block_masking.multi_block(key, (4, 4), num_targets=0),
            "num_targets must be at least 1; got 0",
        ),
    ],
)
def test_masks_that_cannot_be_are_refused(call, text, key):
    with pytest.raises(ValueError, match=text):
        call(key)
