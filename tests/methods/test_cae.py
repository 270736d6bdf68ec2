"""CAE against a float64 loop over hidden patches, and where its gradients go."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.models import latent_regressor

TINY = {"CAE": {"min_block": 4}}
TINY_ENCODER = {"CAE": "ViTClass"}
UNCHANGED = {"CAE": {"tokenizer"}}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
MODULE = tiny.ENCODERS["ViTClass"].build()
CONFIG = dataclasses.replace(tiny.method("CAE"), alignment_weight=1.5)
REGRESSOR = latent_regressor.LatentRegressor(8, num_heads=2, depth=1, decoder_depth=1)


@pytest.fixture(scope="module")
def made():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(4)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 4)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    moved = lambda x: x + np.float32(0.2 * random.normal(size=x.shape))  # noqa: E731
    return method, views, *jax.tree.map(moved, (params, state))


def encoded(params, views):
    """Tokens of visible patches, and of hidden ones as the encoder sees them alone."""

    @jax.jit
    def apply(images, keep):
        return MODULE.apply({"params": params["encoder"]}, images, keep=keep).tokens

    return apply(views["image"], views["keep"]), apply(views["image"], views["hidden"])


def predicted(params, views, visible):
    @jax.jit
    def apply(visible):
        variables = {"params": params["regressor"]}
        return REGRESSOR.apply(variables, visible, views["keep"], views["hidden"], grid=(4, 4))

    return map(np.float64, apply(visible))


def words_of(state, images):
    network = CONFIG.tokenizer.method.network(CONFIG.tokenizer.encoder.build())
    return np.asarray(jax.jit(network.encode)(state["tokenizer"], images)[1])


def test_half_of_the_patches_are_hidden_and_the_others_visible(made):
    _, views, *_ = made
    both = np.concatenate([views["keep"], views["hidden"]], axis=1)
    assert views["keep"].shape == views["hidden"].shape == (4, 8)
    np.testing.assert_array_equal(np.sort(both, axis=1), np.tile(np.arange(16), (4, 1)))


def test_loss_is_the_price_of_words_and_the_distance_to_the_encoders_own_tokens(made):
    method, views, params, state = made
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    visible, target = encoded(params, views)
    latent, scores = predicted(params, views, visible)
    words, target = words_of(state, views["image"]), np.float64(target)
    right, distances = [], []
    for example in range(4):
        prices, squares = [], []
        for place, patch in enumerate(views["hidden"][example]):
            score, word = scores[example, place], words[example, patch]
            prices.append(np.log(np.sum(np.exp(score - score.max()))) + score.max() - score[word])
            squares += list((latent[example, place] - target[example, place]) ** 2)
            right.append(score.argmax() == word)
        distances.append(np.mean(squares))
        expected = np.mean(prices) + 1.5 * distances[-1]
        np.testing.assert_allclose(values[example], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(right), rtol=1e-5)
    np.testing.assert_allclose(metrics["alignment_loss"], np.mean(distances), rtol=1e-4)


@pytest.mark.slow
def test_what_tokens_are_aligned_with_gets_no_gradient(made):
    method, views, params, state = made
    _, target = encoded(params, views)
    words = jnp.take_along_axis(words_of(state, views["image"]), views["hidden"], axis=1)

    def by_hand(params):
        images, keep, hidden = (views[name] for name in ("image", "keep", "hidden"))
        visible = MODULE.apply({"params": params["encoder"]}, images, keep=keep).tokens
        variables = {"params": params["regressor"]}
        latent, scores = REGRESSOR.apply(variables, visible, keep, hidden, grid=(4, 4))
        named = jnp.take_along_axis(jax.nn.log_softmax(scores), words[..., None], axis=-1)
        return 1.5 * jnp.mean(jnp.square(latent - target)) - jnp.mean(named)

    loss = lambda params: method.loss(params, state, views, KEY, CLOCK)[0].mean()  # noqa: E731
    ours, theirs = jax.jit(lambda params: (jax.grad(loss)(params), jax.grad(by_hand)(params)))(
        params
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), ours, theirs)


def test_pictures_are_what_the_named_words_look_like(made):
    method, views, params, state = made
    show = lambda *of: [image for _, image in method.show(*of)]  # noqa: E731
    view, seen, rebuilt = jax.jit(show)(params, state, views)
    _, scores = predicted(params, views, encoded(params, views)[0])
    network = CONFIG.tokenizer.method.network(CONFIG.tokenizer.encoder.build())
    codes = np.float64(state["tokenizer"]["codebook"]["codes"])
    codes /= np.linalg.norm(codes, axis=-1, keepdims=True)
    paint = jax.jit(lambda codes: network.decode(state["tokenizer"], codes, 3))
    painted = paint(np.float32(codes[scores.argmax(axis=-1)]))
    for example in range(4):
        hidden = list(views["hidden"][example])
        for patch in range(16):
            row, column = (4 * i for i in divmod(patch, 4))
            part = np.s_[example, row : row + 4, column : column + 4]
            if patch in hidden:
                expected = np.clip(painted[example, hidden.index(patch)], 0, 1)
                np.testing.assert_allclose(rebuilt[part], expected.reshape(4, 4, 3), atol=1e-4)
                assert np.all(seen[part] == 0.5)
            else:
                np.testing.assert_array_equal(rebuilt[part], view[part])


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "CAE: the encoder must be a ViT, which can encode vis"),
        ({"min_block": 0}, MODULE.config, "CAE: min_block must be at least 1; got 0"),
        ({"decoder_depth": 0}, MODULE.config, "CAE: decoder_depth must be at least 1; got 0"),
        ({"decoder_scale": 0.0}, MODULE.config, "CAE: decoder_scale must be finite and above 0"),
        ({"alignment_weight": -1.0}, MODULE.config, "CAE: alignment_weight must be at least 0"),
        ({"mask_ratio": 1.0}, MODULE.config, "least 1 of 16 patches; got 1.0, which hides 16"),
        ({"tokenizer": None}, MODULE.config, "CAE: the tokenizer must be a trained VQAutoencoder"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
