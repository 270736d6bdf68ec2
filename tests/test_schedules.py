import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import schedules


@pytest.mark.parametrize(("start", "end"), [(0.996, 1.0), (3.0, -1.0)])
def test_cosine_is_half_a_wave_from_start_to_end(start, end):
    for progress in (0, 0.25, 0.5, 1.0):
        expected = end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
        value = schedules.cosine(start, end, progress)
        assert value.dtype == jnp.float32 and value.shape == ()
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(schedules.cosine(start, end, 0.5), (start + end) / 2, rtol=1e-6)


def test_warmup_is_a_line_that_then_stays():
    values = [schedules.warmup(0.04, 0.07, epoch, 30) for epoch in (0, 10, 30, 31, 300)]
    assert all(value.dtype == jnp.float32 and value.shape == () for value in values)
    np.testing.assert_allclose(values, [0.04, 0.05, 0.07, 0.07, 0.07], rtol=1e-6)


def test_a_warmup_of_no_epochs_is_its_end():
    value = schedules.warmup(0.04, 0.07, 0, 0)
    assert value == jnp.float32(0.07) and value.dtype == jnp.float32


def test_the_clock_may_be_traced():
    np.testing.assert_allclose(jax.jit(schedules.cosine)(1.0, 0.0, 0.5), 0.5, atol=1e-6)
    warmup = jax.jit(lambda epoch: schedules.warmup(0.0, 1.0, epoch, 4))
    np.testing.assert_allclose(warmup(jnp.int32(1)), 0.25)
