"""What the autoencoders reconstruct, from what, and what their errors say."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, jsonable
from jaxssl.methods import denoising_autoencoder

NUM_IMAGES = 4
CORRUPTED = {"gaussian": 0.5, "masking": 0.25, "salt_and_pepper": 0.25}


def _views(config, module):
    method = config.build(module, axis_name=None)
    keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
    batch = {"image": tiny.images(NUM_IMAGES)}
    return method, jax.jit(lambda: draws.make_views(method, batch, keys))()


@pytest.fixture(scope="module", params=("ViT", "ResNet"))
def case(request):
    """The denoising one, which has all the other has, on each kind of encoder."""
    config = tiny.method("DenoisingAutoencoder")
    module = dataclasses.replace(tiny.ENCODERS[request.param], mean=(0.4,), std=(0.3,)).build()
    method, views = _views(config, module)
    return config, module, method, views, *jax.jit(method.init)(jax.random.key(0), views)


def test_the_loss_is_the_squared_error_of_clean_pixels(case):
    config, module, method, views, params, state = case
    network = config._network(module, None, views)
    prediction, _ = jax.jit(network.apply)(params, state, views["corrupted"])
    values, _ = jax.jit(method.loss)(params, state, views, jax.random.key(0), jnp.int32(0))
    clean = np.asarray(views["image"], np.float64)
    expected = ((np.asarray(prediction, np.float64) - clean) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_the_encoder_never_sees_the_clean_view(case):
    _, _, method, views, params, state = case
    shown = method.show(params, state, views)
    assert [title for title, _ in shown] == ["view", "what the encoder sees", "reconstruction"]
    clean = dict(views, image=1 - views["image"])
    hidden = method.show(params, state, clean)
    np.testing.assert_array_equal(shown[-1][1], hidden[-1][1])
    other = dict(views, corrupted=views["image"])
    assert np.any(method.show(params, state, other)[-1][1] != shown[-1][1])


@pytest.mark.parametrize("name, level", CORRUPTED.items())
def test_views_are_corrupted_as_asked(name, level):
    config = tiny.method("DenoisingAutoencoder")
    config = dataclasses.replace(config, corruption=name, level=level)
    _, views = _views(config, tiny.ENCODERS["ViT"].build())
    clean, corrupted = (np.asarray(views[key]) for key in ("image", "corrupted"))
    changed = clean != corrupted
    if name == "gaussian":
        assert abs((corrupted - clean).std() - level) < 0.05
    else:
        # A value that was 0 or 1 already may be hit without a change.
        assert 0.15 < changed.mean() <= level
        assert set(np.unique(corrupted[changed])) <= ({0} if name == "masking" else {0, 1})
    assert len({image.tobytes() for image in corrupted - clean}) == NUM_IMAGES


def test_the_plain_one_sees_the_view_it_reconstructs():
    config = tiny.method("Autoencoder")
    module = tiny.ENCODERS["ViT"].build()
    method, views = _views(config, module)
    assert views.keys() == {"image"}
    params, state = jax.jit(method.init)(jax.random.key(0), views)
    shown = method.show(params, state, views)
    assert [title for title, _ in shown] == ["view", "reconstruction"]
    network = config._network(module, None, views)
    prediction = network.predict(params, state, views["image"])
    np.testing.assert_array_equal(shown[-1][1], jnp.clip(prediction, 0, 1))
    assert params["decoder"]["bottleneck"]["kernel"].shape[-1] == config.bottleneck_dim
    assert "bottleneck_norm" not in params["decoder"]  # linear, as in the paper


def test_the_denoising_code_is_activated_unless_the_run_is_older(case):
    config, module, _, views, params, _ = case
    assert "bottleneck_norm" in params["decoder"]
    record = jsonable.to_json(config)
    del record["activated"]
    older = jsonable.from_json(type(config), record)
    assert older == dataclasses.replace(config, activated=False)
    decoder = older._network(module, None, views).head
    assert not decoder.activated and decoder.bottleneck_dim == config.bottleneck_dim


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"corruption": "blur"}, r"corruption must be one of 'gaussian', 'masking', 'salt_and_p"),
        ({"level": -0.1}, r"level must be in \[0, 1\]; got -0\.1"),
        ({"level": 1.5}, r"got 1\.5\. Usual levels are 0\.1 to 0\.5\."),
        ({"corruption": "gaussian", "level": -1}, r"level must be in \[0, inf\]; got -1\."),
    ],
)
def test_wrong_corruptions_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"DenoisingAutoencoder: .*{message}"):
        denoising_autoencoder.DenoisingAutoencoder(**fields)


def test_gaussian_noise_may_be_stronger_than_a_fraction():
    denoising_autoencoder.DenoisingAutoencoder(corruption="gaussian", level=1.5)
