import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.pretext import masking


@pytest.mark.parametrize("num_patches", [49, 64, 196])
@pytest.mark.parametrize("mask_ratio", [0.25, 0.5, 0.6, 0.75, 0.9])
def test_count_is_the_official_arithmetic(num_patches, mask_ratio):
    assert masking.num_kept(num_patches, mask_ratio) == int(num_patches * (1 - mask_ratio))


def test_keep_and_masked_are_ascending_and_share_out_all_patches(key):
    draw = jax.jit(jax.vmap(lambda k: masking.random_masking(k, 49, 0.75)))
    keep, masked = draw(jax.random.split(key, 50))
    assert keep.shape == (50, 12) and masked.shape == (50, 37)
    assert keep.dtype == masked.dtype == jnp.int32
    assert (np.diff(keep) > 0).all() and (np.diff(masked) > 0).all()
    together = np.sort(np.concatenate([keep, masked], axis=1), axis=1)
    np.testing.assert_array_equal(together, np.tile(np.arange(49), (50, 1)))


def test_every_subset_is_equally_likely(key):
    draw = jax.jit(jax.vmap(lambda k: masking.random_masking(k, 6, 0.5)))
    keep, _ = draw(jax.random.split(key, 4000))
    subsets, counts = np.unique(np.asarray(keep), axis=0, return_counts=True)
    assert len(subsets) == 20
    assert stats.chisquare(counts).pvalue > 0.01


def test_every_patch_is_kept_equally_often(key):
    draw = jax.jit(jax.vmap(lambda k: masking.random_masking(k, 16, 0.75)))
    keep, _ = draw(jax.random.split(key, 4000))
    counts = np.bincount(np.asarray(keep).ravel(), minlength=16)
    # 4 of 16: a patch's count varies as 4000 · 1/4 · 3/4, with the counts summing to a constant.
    statistic = ((counts - 1000) ** 2 / (4000 * 3 / 16)).sum() * 15 / 16
    assert stats.chi2(15).sf(statistic) > 0.01


def test_a_key_fixes_the_mask_and_vmap_changes_nothing(key):
    keys = jax.random.split(key, 3)
    keep, masked = jax.vmap(lambda k: masking.random_masking(k, 16, 0.75))(keys)
    for row, k in enumerate(keys):
        single_keep, single_masked = masking.random_masking(k, 16, 0.75)
        np.testing.assert_array_equal(single_keep, keep[row])
        np.testing.assert_array_equal(single_masked, masked[row])


@pytest.mark.parametrize(
    "num_patches, mask_ratio, rest",
    [
        (196, 0.999, "which keeps 0 of 196. Use at most 0.992347, which keeps 1."),
        (10, 0.9, "which keeps 0 of 10. Use at most 0.85, which keeps 1."),
        (196, 0.0, "which keeps 196 of 196. Use a ratio above 0, such as 0.75."),
        (1, 0.5, "which keeps 0 of 1. Use smaller patches."),
    ],
)
def test_masks_that_keep_nothing_or_everything_are_refused(num_patches, mask_ratio, rest, key):
    with pytest.raises(ValueError) as error:
        masking.random_masking(key, num_patches, mask_ratio)
    assert str(error.value) == (
        f"num_kept: masking must keep at least 1 and hide at least 1 of {num_patches} patches; "
        f"got mask ratio {mask_ratio}, {rest}"
    )


@pytest.mark.parametrize("num_patches", [2, 9, 196, 100_000])
def test_the_suggested_ratio_keeps_one(num_patches):
    with pytest.raises(ValueError) as error:
        masking.num_kept(num_patches, 1.0)
    suggested = float(str(error.value).split("Use at most ")[1].split(",")[0])
    assert masking.num_kept(num_patches, suggested) == 1


def test_squares_are_hidden_whole_and_in_the_official_number(key):
    """Published numbers: 6 x 6 squares of 2 x 2 patches, ceil(0.6 · 36) = 22 hidden."""
    draw = jax.jit(jax.vmap(lambda k: masking.random_squares(k, (12, 12), 0.6, side=2)))
    masks = np.asarray(draw(jax.random.split(key, 50))).reshape(50, 6, 2, 6, 2)
    assert masks.dtype == bool
    cells = masks[:, :, 0, :, 0]
    np.testing.assert_array_equal(masks, cells[:, :, None, :, None] * np.ones((2, 1, 2), bool))
    np.testing.assert_array_equal(cells.sum(axis=(1, 2)), 22)


def test_every_set_of_squares_is_equally_likely(key):
    draw = jax.jit(jax.vmap(lambda k: masking.random_squares(k, (2, 3), 0.5, side=1)))
    subsets, counts = np.unique(draw(jax.random.split(key, 4000)), axis=0, return_counts=True)
    assert len(subsets) == 20
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize(
    ("grid", "mask_ratio", "side", "text"),
    [
        ((7, 7), 0.6, 2, "a multiple of the squares; got 7x7 patches and squares of 2x2"),
        ((4, 4), 0.9, 2, "hide at least 1 of 4 squares; got mask ratio 0.9, which hides 4"),
        ((4, 4), 0.0, 2, "hide at least 1 of 4 squares; got mask ratio 0.0, which hides 0"),
        ((4, 4), 0.5, 0, "random_squares: side must be at least 1; got 0"),
    ],
)
def test_squares_that_cannot_be_are_refused(grid, mask_ratio, side, text, key):
    with pytest.raises(ValueError, match=text):
        masking.random_squares(key, grid, mask_ratio, side=side)
