"""What of a transformer's blocks the backward pass computes anew."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from jaxssl import jsonable, models

CONFIG = models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=4)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_that_are_computed_anew(dtype):
    """On an accelerator; of a block: qkv, scores, average, proj and the first of the MLP."""
    images = jax.ShapeDtypeStruct((4, 16, 16, 3), jnp.float32)
    num_products = {}
    for remat in ("none", "dots", "block"):
        module = dataclasses.replace(CONFIG, dtype=dtype, remat=remat).build()
        variables = jax.eval_shape(module.init, jax.random.key(0), images)

        def gradient(variables, images, module=module):
            return jax.grad(lambda each: jnp.sum(module.apply(each, images).pooled))(variables)

        lowered = jax.jit(gradient).trace(variables, images).lower(lowering_platforms=("cuda",))
        num_products[remat] = lowered.as_text().count("stablehlo.dot_general")
    none = num_products["none"]
    assert num_products == {"none": none, "dots": none + 2, "block": none + 5}


@pytest.mark.parametrize("config", [CONFIG, models.TextTransformerConfig()], ids=["vit", "text"])
def test_records_of_a_switch_are_read_and_a_switch_is_refused(config):
    fields = jsonable.to_json(config)
    for recorded, read in ((False, "none"), (True, "block"), ("dots", "dots")):
        got = jsonable.from_json(type(config), fields | {"remat": recorded})
        assert got == dataclasses.replace(config, remat=read)
    with pytest.raises(ValueError, match=r"remat must be .*'dots'; got True"):
        dataclasses.replace(config, remat=True)
