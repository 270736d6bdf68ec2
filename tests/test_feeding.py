"""What a restored encoder is fed: one line says what is wrong with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import inputs, models
from jaxssl.checkpoints import RestoredEncoder


@pytest.fixture(scope="module", params=[1, 3])
def encoder(request):
    """Of a run of 8 x 8 images with so many channels."""
    channels = request.param
    module = models.ResNetConfig(depth=10, width_multiplier=1 / 16, stem="small").build()
    images = jnp.zeros((1, 8, 8, channels))
    variables = jax.jit(module.init)(jax.random.key(0), images)
    fed = inputs.of_image(8, channels)
    return RestoredEncoder(module, variables, {"inputs": inputs.to_json(fed)})


def images_of(encoder, dtype=np.float32):
    shape = (2, *encoder.inputs[0].shape)
    uint8 = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return uint8 if dtype == np.uint8 else (uint8 / 255).astype(dtype)


@pytest.mark.parametrize("on", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x * 255, r"float32 from [\d.]+ to 2[\d.]+\. Divide them by 255, or give uint8"),
        (lambda x: x * 65535, r"to 6\d+(\.\d+)?\. Divide them by the largest value"),
        (
            lambda x: (x - 0.5) / 0.25,
            r"from -[\d.]+ to [\d.]+\. Give images as they are: the encode",
        ),
        (lambda x: np.where(x > 0.5, np.inf, x), r"(inf|nan)\. Leave out what is not finite"),
        (lambda x: np.where(x > 0.5, np.nan, x), r"nan to nan\. Leave out what is not finite"),
    ],
    ids=["255", "65535", "standardised", "inf", "nan"],
)
def test_floating_images_are_in_the_unit_interval(encoder, on, change, told):
    must = r"^RestoredEncoder: image must be uint8 in \[0, 255\] or floating in \[0, 1\]; got "
    with pytest.raises(ValueError, match=must + ".*" + told):
        encoder(on(change(images_of(encoder))))


def test_what_can_be_seen_is_let_through_where_it_is_right(encoder):
    for dtype in (np.uint8, np.float32, np.float16):
        assert encoder(images_of(encoder, dtype)).pooled.shape == (2, 32)
    overshot = images_of(encoder) * 1.2 - 0.1  # as resizing with a cubic kernel leaves them
    assert encoder(overshot).pooled.shape == (2, 32)
    assert encoder(images_of(encoder)[:, :6]).pooled.shape == (2, 32)  # of another size


def test_values_inside_of_a_trace_are_not_looked_at(encoder):
    assert jax.jit(encoder)(images_of(encoder) * 255).pooled.shape == (2, 32)


@pytest.mark.parametrize("call", [lambda encoder: encoder, jax.jit], ids=["", "jit"])
def test_other_channels_name_those_of_the_run_and_its_size(encoder, call):
    own = encoder.inputs[0].shape[-1]
    other = {1: 3, 3: 1}[own]
    must = rf"^RestoredEncoder: image must have {own} channels?, last, as the run's, which were "
    must += rf"8 x 8 x {own}; got shape \(2, 8, 8, "
    for channels, fix in ((other, "(Make them grey|Repeat the grey)"), (4, ".*alpha"), (7, "Chan")):
        images = np.zeros((2, 8, 8, channels), np.uint8)
        with pytest.raises(ValueError, match=must + rf"{channels}\)\. {fix}"):
            call(encoder)(images)


def test_another_number_of_arrays_is_refused(encoder):
    images = images_of(encoder)
    with pytest.raises(ValueError, match=r"must be given a batch each of image 8 x 8 x .; got 2"):
        encoder(images, images)
