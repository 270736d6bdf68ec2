"""Mixup and cutmix: shares, boxes, and what is drawn."""

import jax
import numpy as np
import pytest

from jaxssl.augment import mixing

KEYS = jax.random.split(jax.random.key(0), 500)
ONES, ZEROS = np.ones((500, 8, 8, 1), np.float32), np.zeros((500, 8, 8, 1), np.float32)


def mixed(**alphas):
    """500 white images mixed with black ones, and their shares."""

    @jax.jit
    def mix():
        drawn = jax.vmap(lambda key: mixing.draw(key, size=8, **alphas))(KEYS)
        return mixing.apply(ONES, ZEROS, drawn)

    return map(np.asarray, mix())


@pytest.mark.parametrize("alphas", [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_the_share_is_that_of_the_pixels(alphas):
    images, shares = mixed(mixup=alphas[0], cutmix=alphas[1])
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), shares, atol=1e-6)
    assert shares.min() >= 0 and shares.max() <= 1


def test_mixup_is_everywhere_alike_and_cutmix_all_or_nothing():
    images, shares = mixed(mixup=1.0, cutmix=0.0)
    assert np.ptp(images, axis=(1, 2, 3)).max() == 0
    assert abs(shares.mean() - 0.5) < 0.05 and abs(shares.std() - 12**-0.5) < 0.03
    images, shares = mixed(mixup=0.0, cutmix=1.0)
    assert set(np.unique(images)) == {0.0, 1.0}
    # A box that is cut off by the border leaves more.
    assert 0.5 < shares.mean() < 0.75


def test_both_are_drawn_with_one_half():
    images, _ = mixed(mixup=0.8, cutmix=1.0)
    is_cut = np.isin(images, (0, 1)).all(axis=(1, 2, 3))
    assert 0.4 < is_cut.mean() < 0.6
