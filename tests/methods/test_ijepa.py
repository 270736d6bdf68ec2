"""I-JEPA against float64 loops over its own tokens: loss, target, and who sees what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules

TINY_ENCODER = {"IJEPA": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
MODULE = tiny.ENCODERS["ViT"].build()
CONFIG = tiny.method("IJEPA")
GRID = (4, 4)


@pytest.fixture(scope="module")
def made():
    """The method, views of four images, params that have left the target behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(4)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 4)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.05 * random.normal(size=x.shape)), params)
    return method, jax.jit(method.loss), views, params, state


def test_loss_is_the_smooth_distance_of_every_block_by_itself(made):
    _, loss, views, params, state = made
    values, _ = loss(params, state, views, KEY, CLOCK)
    target = {"params": state["target"]["params"]["encoder"]}
    whole = np.float64(jax.jit(MODULE.apply)(target, views["image"]).tokens)
    whole = (whole - whole.mean(-1, keepdims=True)) / np.sqrt(whole.var(-1, keepdims=True) + 1e-5)
    keep, encoder = views["keep"], {"params": params["encoder"]}
    context = jax.jit(lambda images, keep: MODULE.apply(encoder, images, keep=keep).tokens)
    tokens = context(views["image"], keep)
    predict = jax.jit(
        lambda tokens, keep, block: CONFIG._predictor(MODULE).apply(
            {"params": params["predictor"]}, tokens, keep, block, grid=GRID
        )
    )
    for example in range(4):
        distances = []
        for block in range(4):
            asked = views["targets"][:, block]
            prediction = predict(tokens, keep, asked)[example]
            for patch, described in zip(np.asarray(asked[example]), np.float64(prediction)):
                for error in described - whole[example, patch]:
                    small = abs(error) < 1
                    distances.append(error**2 / 2 if small else abs(error) - 0.5)
        assert len(distances) == views["targets"][0].size * 16
        np.testing.assert_allclose(values[example], np.mean(distances), rtol=1e-4)


def test_the_context_shows_nothing_of_the_targets(made):
    """What stands in target patches changes the targets alone, not the predictions."""
    _, loss, views, params, state = made
    hidden = np.zeros((4, 16), bool)
    np.put_along_axis(hidden, np.asarray(views["targets"]).reshape(4, -1), True, axis=1)
    hidden = np.kron(hidden.reshape(4, 4, 4), np.ones((1, 4, 4))).astype(bool)[..., None]
    other = views | {"image": jnp.where(hidden, 0.5, views["image"])}

    def gradient(views):
        run = jax.jit(jax.grad(lambda p: loss(p, state, views, KEY, CLOCK)[0].mean()))
        return run(params)["predictor"]["prediction"]["bias"]

    # Where targets differ from predictions by 1 or more, the distance hides by how much.
    assert np.any(gradient(other) != gradient(views))
    images = jnp.where(hidden, 0.5, views["image"])
    encode = jax.jit(lambda x: MODULE.apply({"params": params["encoder"]}, x, keep=views["keep"]))
    np.testing.assert_array_equal(encode(images).tokens, encode(views["image"]).tokens)


def test_the_targets_momentum_rises_along_a_line(made):
    method, _, _, params, state = made
    for step in (0, 6):
        clock = schedules.clock_at(step, steps_per_epoch=4, total_steps=12)
        after = jax.jit(method.advance)(params, state, clock)["target"]["params"]["encoder"]
        momentum = 0.996 + 0.004 * step / 12
        before = state["target"]["params"]["encoder"]
        expected = jax.tree.map(
            lambda old, new, m=momentum: m * np.float64(old) + (1 - m) * np.float64(new),
            before,
            params["encoder"],
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected
        )


def test_features_that_follow_the_position_alone_are_seen_as_collapsed(made):
    """Their average over all patches is one for all images, wherever the targets lie."""
    method, _, views, params, state = made
    embed = jax.jit(method.embed)
    assert np.ptp(embed(params, state, views).first, axis=0).max() > 1e-3
    target = state["target"]["params"]["encoder"]
    kernel = target["patch_embedding"]["kernel"]
    blind = target | {"patch_embedding": target["patch_embedding"] | {"kernel": kernel * 0}}
    target = state["target"] | {"params": {"encoder": blind}}
    collapsed = embed(params, state | {"target": target}, views).first
    np.testing.assert_allclose(np.ptp(collapsed, axis=0), 0, atol=1e-5)


def test_pictures_show_context_and_targets_apart(made):
    method, _, views, params, state = made
    (_, original), (_, seen), (_, asked) = method.show(params, state, views)
    np.testing.assert_array_equal(original, views["image"])
    covered = np.all(np.asarray(seen) == 0.5, axis=-1), np.all(np.asarray(asked) == 0.5, axis=-1)
    assert np.all(covered[0] | covered[1])
    num_targets = [len(set(np.asarray(blocks).ravel())) for blocks in views["targets"]]
    np.testing.assert_array_equal((~covered[1]).sum(axis=(1, 2)), 16 * np.array(num_targets))


def test_ijepa_refuses_an_encoder_without_patches():
    with pytest.raises(ValueError, match=r"IJEPA: the encoder must be a ViT, which can encode the"):
        CONFIG.build(models.ResNetConfig(depth=18).build(), axis_name=None)


def test_ijepa_refuses_a_grid_that_is_too_small_for_its_blocks():
    module = models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=8, pool="mean").build()
    method = CONFIG.build(module, axis_name=None)
    with pytest.raises(ValueError, match=r"multi_block: targets must leave a context"):
        method.view(KEY, {"image": tiny.images(1)[0]})
