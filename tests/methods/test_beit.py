"""BEiT against a float64 loop over hidden patches and the words of its tokenizer."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.methods.shared import vits

TINY = {"BEiT": {"min_block": 4}}
TINY_ENCODER = {"BEiT": "ViT"}
UNCHANGED = {"BEiT": {"tokenizer"}}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
# A class token goes along, and names nothing.
MODULE = models.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4).build()
CONFIG = tiny.method("BEiT")
TOKENIZER = CONFIG.tokenizer


@pytest.fixture(scope="module")
def made():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    moved = lambda x: x + np.float32(0.3 * random.normal(size=x.shape))  # noqa: E731
    return method, views, *jax.tree.map(moved, (params, state))


def words_of(tokenizer, images):
    """The word of every patch [B, N]: the code at the smallest angle, one patch at a time."""
    module = TOKENIZER.encoder.build()
    tokens = jax.jit(module.apply)({"params": tokenizer["encoder"]}, images).tokens
    layer = jax.tree.map(np.float64, tokenizer["narrow"]["layer1"])
    codes = np.float64(tokenizer["codebook"]["codes"])
    words = np.zeros(tokens.shape[:2], int)
    for place in np.ndindex(words.shape):
        row = np.float64(tokens[place]) @ layer["kernel"] + layer["bias"]
        words[place] = np.argmax([row @ code / np.linalg.norm(code) for code in codes])
    return words


def scores_of(params, state, views):
    network = vits.WithHidden(MODULE, vits.linear_head(MODULE, TOKENIZER.method.num_words))
    scores, _ = jax.jit(network.apply)(params, state, views["image"], views["hide"])
    return np.float64(scores)


def test_loss_is_the_price_of_the_words_of_hidden_patches(made):
    method, views, params, state = made
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    words = words_of(state["tokenizer"], views["image"])
    assert len(np.unique(words)) > 1
    scores = scores_of(params, state, views)
    right = []
    for example in range(6):
        prices = []
        for patch in np.flatnonzero(views["hide"][example]):
            score, word = scores[example, patch], words[example, patch]
            prices.append(np.log(np.sum(np.exp(score - score.max()))) + score.max() - score[word])
            right.append(score.argmax() == word)
        assert len(prices) == 6  # 0.4 · 16, rounded
        np.testing.assert_allclose(values[example], np.mean(prices), rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(right), rtol=1e-5)
    np.testing.assert_allclose(metrics["bits_per_token"], values.mean() / np.log(2), rtol=1e-5)


def test_pictures_are_what_the_named_words_look_like(made):
    method, views, params, state = made
    show = lambda *of: [image for _, image in method.show(*of)]  # noqa: E731
    view, seen, rebuilt = jax.jit(show)(params, state, views)
    named = scores_of(params, state, views).argmax(axis=-1)
    codes = np.float64(state["tokenizer"]["codebook"]["codes"])
    codes /= np.linalg.norm(codes, axis=-1, keepdims=True)
    network = TOKENIZER.method.network(TOKENIZER.encoder.build())
    paint = jax.jit(lambda codes: network.decode(state["tokenizer"], codes, 3))
    painted = paint(np.float32(codes[named]))
    for example, patch in np.ndindex(6, 16):
        row, column = (4 * i for i in divmod(patch, 4))
        part = np.s_[example, row : row + 4, column : column + 4]
        if views["hide"][example, patch]:
            expected = np.clip(painted[example, patch], 0, 1).reshape(4, 4, 3)
            np.testing.assert_allclose(rebuilt[part], expected, atol=1e-4)
            assert np.all(seen[part] == 0.5)
        else:
            np.testing.assert_array_equal(rebuilt[part], view[part])


def test_published_numbers_hide_78_of_196(key):
    config = type(CONFIG)().with_tokenizer(TOKENIZER.method, models.ViTConfig())
    views = jax.jit(config.build(models.ViTConfig().build(), axis_name=None).view)(
        key, {"image": np.zeros((32, 32, 3), np.uint8)}
    )
    assert views["image"].shape == (224, 224, 3)
    assert views["hide"].shape == (196,) and views["hide"].sum() == 78


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "BEiT: the encoder must be a ViT, which can have"),
        ({"min_block": 0}, MODULE.config, "BEiT: min_block must be at least 1; got 0"),
        ({"mask_ratio": 0.0}, MODULE.config, "least 1 of 16 patches; got 0.0, which hides 0"),
        (
            {"tokenizer": None},
            MODULE.config,
            r"BEiT: the tokenizer must be a trained VQAutoencoder, .* got none. Name .* --tokenize",
        ),
        (
            {},
            dataclasses.replace(MODULE.config, patch_size=8),
            "must be the tokenizer's, which has a word for each; got 8 and 4 pixels. Set --encoder",
        ),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
