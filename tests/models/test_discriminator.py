import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models


@pytest.mark.parametrize("size, num_convolutions", [(3, 0), (8, 1), (14, 2), (28, 3), (64, 4)])
def test_one_logit_an_image_of_at_most_four_by_four_cells(size, num_convolutions):
    module = models.Discriminator(width=2)
    images = jax.ShapeDtypeStruct((5, size, size, 3), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    logits, variables = jax.eval_shape(module.init_with_output, key, images)
    assert logits.shape == (5,) and logits.dtype == jnp.float32
    params = variables["params"]
    names = [name for name in params if name.startswith("conv")]
    assert len(names) == num_convolutions
    # BatchNorm follows every convolution but the first, which has a bias instead.
    assert sum(name.startswith("norm") for name in params) == max(0, num_convolutions - 1)
    assert all(("bias" in params[name]) == (name == "conv1") for name in names)


def test_channels_double_up_to_eight_times_the_width():
    module = models.Discriminator(width=2)
    images = jax.ShapeDtypeStruct((1, 256, 256, 1), jnp.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(module.init, key, images)["params"]
    widths = [params[f"conv{n}"]["kernel"].shape[-1] for n in range(1, 7)]
    assert widths == [2, 4, 8, 16, 16, 16]


def test_training_normalises_by_the_batch():
    module = models.Discriminator(width=2)
    images = jax.random.normal(jax.random.key(0), (4, 16, 16, 1))
    variables = jax.jit(module.init)(jax.random.key(1), images)
    train = jax.jit(lambda x: module.apply(variables, x, train=True, mutable=["batch_stats"]))
    logits, state = train(images)
    alone, _ = train(images.at[1:].multiply(3))
    assert logits[0] != alone[0]
    assert np.any(state["batch_stats"]["norm2"]["mean"] != 0)


@pytest.mark.parametrize(
    "fields, shape, message",
    [
        ({"width": 0}, (1, 8, 8, 1), r"Discriminator: width must be at least 1; got 0\."),
        ({"dtype": "half"}, (1, 8, 8, 1), r"Discriminator: dtype must be one of 'float32', 'bfl"),
        ({}, (8, 8, 1), r"Discriminator: images must be \[B, H, W, C\]; got shape \(8, 8, 1\)\."),
    ],
)
def test_wrong_fields_and_images_are_named(fields, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(models.Discriminator(**fields).init, jax.random.key(0), jnp.zeros(shape))
