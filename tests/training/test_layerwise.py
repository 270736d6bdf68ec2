"""Norms layer by layer, and the same for layers that are stacked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import transformer
from jaxssl.training import layerwise, optimizers
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import Plan

PLAN = Plan(batch_size=256, steps_per_epoch=10, total_steps=100)


def test_each_layer_is_clipped_by_its_own_norm():
    random = np.random.default_rng(0)
    gradient = {
        "long": {"kernel": 9 * random.standard_normal((2, 3, 4)), "bias": np.array([3.0, 4.0])},
        "short": {"kernel": random.standard_normal((2, 3)), "bias": np.zeros(3)},
    }
    clip = layerwise.clip_each(3.0)
    got, _ = clip.update(jax.tree.map(jnp.float32, gradient), clip.init(gradient))
    for name, layer in gradient.items():
        for leaf, values in layer.items():
            length = np.sqrt(sum(value**2 for value in values.flat))
            coefficient = 3.0 / (length + 1e-6)
            expected = values * coefficient if coefficient < 1 else values
            np.testing.assert_allclose(got[name][leaf], expected, rtol=1e-6)
    np.testing.assert_array_equal(got["short"]["kernel"], np.float32(gradient["short"]["kernel"]))
    assert np.linalg.norm(got["long"]["bias"]) == pytest.approx(3)


def random_params(seed):
    """Of three blocks, each of another size, and of what is beside them."""
    random = np.random.default_rng(seed)

    def values(block, *shape):
        return jnp.float32(random.standard_normal(shape) * (1 + block) / 4)

    blocks = {
        f"block_{index}": {"mlp": {"kernel": values(index, 3, 5), "bias": values(index, 5)}}
        for index in range(3)
    }
    return blocks | {"patch_embedding": {"kernel": values(0, 2, 3)}}


@pytest.mark.parametrize(
    "options",
    [{"name": "lars"}, {"name": "sgd", "clip_each": 0.5}, {"name": "adamw", "clip_each": 0.5}],
    ids=lambda options: options["name"],
)
def test_stacked_layers_are_updated_as_unstacked_ones(options):
    """To the last bit: scan_layers is a matter of compile time, not of training."""
    config = OptimizerConfig(**options, warmup_epochs=0.0)
    optimizer = optimizers.build(config, PLAN)
    params, gradient = random_params(0), random_params(1)

    def updated(params, gradient):
        params, gradient = {"encoder": params}, {"encoder": gradient}
        return optimizer.update(gradient, optimizer.init(params), params)[0]["encoder"]

    plain = updated(params, gradient)
    stacked = updated(transformer.stack_layers(params), transformer.stack_layers(gradient))
    jax.tree.map(np.testing.assert_array_equal, transformer.unstack_layers(stacked), plain)
