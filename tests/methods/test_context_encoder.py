"""What the context encoder sees, predicts and pays, and who learns from which loss."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import tiny

from jaxssl import draws, jsonable
from jaxssl.methods import context_encoder
from jaxssl.methods.shared import functional

NUM_IMAGES = 8
KEY, STEP = jax.random.key(2), jnp.int32(0)
ADVERSARIAL = 0.25
CASES = {
    "region": {},
    "blocks": {"mask": "blocks"},
    "central": {"mask": "central", "overlap": 1, "adversarial_weight": ADVERSARIAL},
}


def _config(**changes):
    return dataclasses.replace(tiny.method("ContextEncoder"), **changes)


def _build(config, axis_name=None):
    module = dataclasses.replace(tiny.ENCODERS["ViT"], mean=(0.4,), std=(0.3,))
    module = module.build(axis_name=axis_name)
    return module, config.build(module, axis_name=axis_name)


@pytest.fixture(scope="module")
def cases():
    """Config, module, method, views, params, state of each case."""
    made = {}
    for name, changes in CASES.items():
        config = _config(**changes)
        module, method = _build(config)
        batch = {"image": tiny.images(NUM_IMAGES)}

        def views_params_state(method=method, batch=batch):
            keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
            views = draws.make_views(method, batch, keys)
            return views, method.init(jax.random.key(0), views)

        views, (params, state) = jax.jit(views_params_state)()
        made[name] = config, module, method, views, params, state
    return made


@pytest.mark.parametrize("name", CASES)
def test_the_hole_is_painted_and_the_rest_shown(cases, name):
    config, _, method, views, params, state = cases[name]
    (_, view), (_, seen), (_, filled) = method.show(params, state, views)
    np.testing.assert_array_equal(view, views["image"])
    hidden = np.asarray(views["hidden"])
    assert 0 < hidden.mean() <= 0.3
    view, seen, filled = map(np.asarray, (view, seen, filled))
    assert np.all(seen[hidden] == np.float32(config.color))
    np.testing.assert_array_equal(seen[~hidden], view[~hidden])
    np.testing.assert_array_equal(filled[~hidden], view[~hidden])
    assert np.any(filled[hidden] != view[hidden])
    assert np.any(filled[hidden] != seen[hidden])


def test_what_is_hidden_cannot_reach_the_prediction(cases):
    _, _, method, views, params, state = cases["region"]
    other = dict(views)
    other["image"] = jnp.where(views["hidden"][..., None], 1 - views["image"], views["image"])
    filled, filled_other = (
        np.asarray(method.show(params, state, v)[-1][1]) for v in (views, other)
    )
    np.testing.assert_array_equal(filled, filled_other)


def test_error_is_the_squared_error_of_hidden_pixels(cases):
    config, module, method, views, params, state = cases["region"]
    network = config._network(module, None, views)
    prediction, _ = jax.jit(network.apply)(params, state, config._encoder_input(views))
    values, _ = jax.jit(method.loss)(params, state, views, KEY, STEP)
    prediction, image = (np.asarray(x, np.float64) for x in (prediction, views["image"]))
    for b in range(NUM_IMAGES):
        hidden = np.asarray(views["hidden"][b])
        errors = [
            (prediction[(b, *place)] - (2 * image[(b, *place)] - 1)) ** 2
            for place in np.ndindex(*hidden.shape)
            if hidden[place]
        ]
        np.testing.assert_allclose(values[b], np.mean(errors), rtol=1e-4)


def test_the_centre_alone_is_predicted_and_its_rim_weighs_ten(cases):
    config, module, _, views, params, state = cases["central"]
    network = config._network(module, None, views)
    assert network.predict(params, state, config._encoder_input(views)).shape == (
        NUM_IMAGES,
        8,
        8,
        3,
    )
    np.testing.assert_array_equal(config._target(views), 2 * views["image"][:, 4:12, 4:12] - 1)
    weights = np.asarray(config._weights(views))
    expected = np.full((8, 8), 10)
    expected[1:7, 1:7] = 1
    np.testing.assert_array_equal(weights, np.broadcast_to(expected, weights.shape))
    hidden = np.zeros((16, 16), bool)
    hidden[5:11, 5:11] = True
    np.testing.assert_array_equal(views["hidden"], np.broadcast_to(hidden, (NUM_IMAGES, 16, 16)))


@pytest.mark.parametrize("name", ["region", "central"])
def test_the_decoder_is_the_official_one_unless_the_run_is_older(cases, name):
    config, module, _, views, params, _ = cases[name]
    network = config._network(module, None, views)
    assert network.head.activated and network.head.bounded
    assert "bottleneck_norm" in params["decoder"]
    record = jsonable.to_json(config)
    del record["activated"]
    older = jsonable.from_json(type(config), record)._network(module, None, views).head
    assert not older.activated and not older.bounded


def test_each_side_learns_from_its_own_loss(cases):
    """Gradients of the one sum are those of two separate optimisations, as the paper runs them."""
    config, module, method, views, params, state = cases["central"]
    network = config._network(module, None, views)
    judge = context_encoder.discriminator.Discriminator(config.discriminator_width)
    target = config._target(views)
    weights = np.asarray(config._weights(views))[..., None]

    def judged(discriminator, discriminator_state, images):
        return functional.apply(judge, discriminator, discriminator_state, images)

    def network_loss(own):
        prediction, _ = network.apply(own, state, config._encoder_input(views))
        error = jnp.mean(weights * (prediction - target) ** 2)
        logits, _ = judged(params["discriminator"], state["discriminator"], prediction)
        return (1 - ADVERSARIAL) * error - ADVERSARIAL * jnp.mean(jax.nn.log_sigmoid(logits))

    def discriminator_loss(own):
        prediction, _ = network.apply(params, state, config._encoder_input(views))
        real, after_real = judged(own, state["discriminator"], target)
        fake, _ = judged(own, after_real, prediction)
        return -jnp.mean(jax.nn.log_sigmoid(real) + jax.nn.log_sigmoid(-fake))

    def total(params):
        values, (_, metrics) = method.loss(params, state, views, KEY, STEP)
        return jnp.mean(values), metrics

    @jax.jit
    def all_of(params):
        own = {name: params[name] for name in ("encoder", "decoder")}
        return (
            jax.value_and_grad(total, has_aux=True)(params),
            jax.value_and_grad(network_loss)(own),
            jax.value_and_grad(discriminator_loss)(params["discriminator"]),
        )

    ((value, metrics), gradient), (ours, own), (theirs, judging) = all_of(params)
    np.testing.assert_allclose(value, ours + theirs, rtol=1e-5)
    np.testing.assert_allclose(metrics["discriminator"], theirs, rtol=1e-5)
    both = {**own, "discriminator": judging}
    assert jax.tree.structure(gradient) == jax.tree.structure(both)
    for side in ("encoder", "decoder", "discriminator"):
        for got, expected in zip(jax.tree.leaves(gradient[side]), jax.tree.leaves(both[side])):
            assert np.any(np.asarray(got) != 0)
            scale = max(np.max(np.abs(expected)), 1e-3)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * scale)


def test_discriminator_statistics_are_updated_and_kept(cases):
    _, _, method, views, params, state = cases["central"]
    _, (updated, _) = jax.jit(method.loss)(params, state, views, KEY, STEP)
    assert jax.tree.structure(updated) == jax.tree.structure(state)
    leaves = zip(jax.tree.leaves(updated["decoder"]), jax.tree.leaves(state["decoder"]))
    assert all(np.any(a != b) for a, b in leaves)


@pytest.mark.slow
def test_the_game_is_the_same_on_four_devices(cases):
    config, _, _, views, *_ = cases["region"]
    config = dataclasses.replace(config, adversarial_weight=ADVERSARIAL)
    _, method = _build(config)
    params, state = jax.jit(method.init)(jax.random.key(0), views)

    def values(params, views, axis_name):
        return _build(config, axis_name)[1].loss(params, state, views, KEY, STEP)[0]

    expected = parity.unmapped(values, params, views)
    outcome = parity.value_and_grad(values, params, views, devices=4, backend="shard_map")
    parity.assert_close(outcome, expected, tolerance=1e-4)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"mask": "center"}, r"mask must be one of 'region', 'blocks', 'central'; got 'center'\."),
        ({"adversarial_weight": 1.0}, r"adversarial_weight must be in \[0, 1\); got 1\.0\. The"),
    ],
)
def test_wrong_fields_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"ContextEncoder: {message}"):
        context_encoder.ContextEncoder(**changes)
