import numpy as np

from jaxssl.models import drop_path


def test_scales_of_the_branches_against_a_loop():
    """DINO's ``x.div(keep_prob) * floor(keep_prob + u)``, rates ``linspace(0, rate, depth)``."""
    num_images, depth, rate = 300, 3, 0.6
    draws = np.random.default_rng(0).random((num_images, depth, 2), np.float32)
    got = np.asarray(drop_path.branch_scale(draws, rate=rate))
    assert got.shape == (depth, 2, num_images) and got.dtype == np.float32
    for block, keep in enumerate((1.0, 0.7, 0.4)):
        for branch in range(2):
            for image in range(num_images):
                kept = np.floor(keep + float(draws[image, block, branch]))
                np.testing.assert_allclose(got[block, branch, image], kept / keep, rtol=1e-6)
    np.testing.assert_array_equal(drop_path.branch_scale(draws[:, :1], rate=rate), 1)
