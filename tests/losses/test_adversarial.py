"""The two sides of the adversarial game against loops in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from jaxssl import losses

REAL = jnp.array([-3.0, 0.0, 0.5, 80.0])
FAKE = jnp.array([2.0, 0.0, -1.5, -90.0])


def _sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


def test_values_are_the_logarithms_of_the_formula():
    discriminator = losses.gan_discriminator(REAL, FAKE)
    generator = losses.gan_generator(FAKE)
    for b in range(3):
        real, fake = _sigmoid(float(REAL[b])), _sigmoid(float(FAKE[b]))
        expected = -math.log(real) - math.log(1 - fake)
        np.testing.assert_allclose(discriminator[b], expected, rtol=1e-6)
        np.testing.assert_allclose(generator[b], -math.log(fake), rtol=1e-6)
    np.testing.assert_allclose(discriminator[1], 2 * math.log(2), rtol=1e-6)
    np.testing.assert_allclose([discriminator[3], generator[3]], [0, 90], atol=1e-6)


def test_gradients_are_those_of_finite_differences():
    check_grads(losses.gan_discriminator, (REAL[:3], FAKE[:3]), order=1, modes=["rev"], rtol=1e-2)
    check_grads(losses.gan_generator, (FAKE[:3],), order=1, modes=["rev"], rtol=1e-2)
    assert np.all(np.isfinite(jax.grad(lambda fake: losses.gan_generator(fake).sum())(FAKE)))
