"""What all joint-embedding losses share: width of the numbers, one compilation, a shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import losses

BATCH = 6


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _views(a, b):
    return jnp.stack([a, b, a * b], axis=1)


def _dino(a, b):
    return losses.dino(_views(a, b), _views(b, a)[:, :2], center=jnp.mean(b, axis=0))


LOSSES = {
    "dcl": (losses.dcl, (BATCH,)),
    "dclw": (losses.dclw, (BATCH,)),
    "cosine_regression": (losses.cosine_regression, (BATCH,)),
    "koleo": (lambda a, b: losses.koleo(a), (BATCH,)),
    "barlow_twins": (losses.barlow_twins, ()),
    "vicreg": (losses.vicreg, ()),
    "whitening_mse": (losses.whitening_mse, (BATCH,)),
    "sinkhorn": (lambda a, b: losses.sinkhorn(_views(a, b)), (BATCH, 3, 4)),
    "swav": (lambda a, b: losses.swav(_views(a, b), losses.sinkhorn(_views(a, b))), (BATCH,)),
    "dino": (_dino, (BATCH,)),
    "prototype_cross_entropy": (
        lambda a, b: losses.prototype_cross_entropy(a, b, jnp.arange(BATCH)),
        (BATCH,),
    ),
    "sigreg": (lambda a, b: losses.sigreg(jax.random.key(0), a, num_slices=3), ()),
    "view_invariance": (
        lambda a, b: losses.view_invariance(_views(a, b), num_global=2),
        (BATCH,),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_shape_width_and_one_compilation(name):
    loss, shape = LOSSES[name]
    compiled = jax.jit(lambda a, b: loss(a, b))  # its own: jit caches are kept by function
    for seed in range(3):
        values = compiled(_rows(seed, BATCH, 4), _rows(seed + 9, BATCH, 4))
        assert values.shape == shape
        assert values.dtype == jnp.float32
    assert compiled._cache_size() == 1
    for narrow in (jnp.bfloat16, jnp.float16):
        half = jax.ShapeDtypeStruct((BATCH, 4), narrow)
        assert jax.eval_shape(loss, half, half).dtype == jnp.float32
    with jax.enable_x64(True):
        wide = jax.ShapeDtypeStruct((BATCH, 4), jnp.float64)
        assert jax.eval_shape(loss, wide, wide).dtype == jnp.float64
