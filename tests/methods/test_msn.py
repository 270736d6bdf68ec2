"""MSN against a float64 loop over what its own networks make of the views."""

import dataclasses

import embedding_oracles
import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, losses, models, schedules
from jaxssl.methods.shared import teacher

TINY = {"MSN": {"num_prototypes": 8, "temperature": 0.5, "sharpening": 1.0}}
TINY_ENCODER = {"MSN": "ViTRope"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
MODULE = tiny.ENCODERS["ViTRope"].build()
CONFIG = dataclasses.replace(
    tiny.method("MSN"), temperature=0.2, sharpening=0.5, memax_weight=0.7, mask_ratio=0.4
)


@pytest.fixture(scope="module")
def made():
    """The method, views of six images, params that have left the target behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(6)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 6)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.1 * random.normal(size=x.shape)), params)
    return method, views, params, state


def scores(params, kernel, images, **options):
    """Cosines [B, M] of projected class tokens with the prototypes."""
    features = jax.jit(MODULE.apply)({"params": params["encoder"]}, images, **options)
    projector = teacher.make_projector(
        MODULE, CONFIG.projector_width, CONFIG.projector_dim, batch_norm=True
    )

    @jax.jit
    def project(x):
        # Statistics of this very batch, whatever runs along.
        stats = projector.init(KEY, x)["batch_stats"]
        variables = {"params": params["projector"], "batch_stats": stats}
        return projector.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    rows = np.float64(project(features.pooled))
    kernel = np.float64(kernel)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ (kernel / np.linalg.norm(kernel, axis=0))


@pytest.mark.parametrize("balance", [True, False])
def test_loss_is_that_of_the_anchors_and_of_their_mean(made, balance):
    _, views, params, state = made
    method = dataclasses.replace(CONFIG, balance=balance).build(MODULE, axis_name=None)
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    kernel, target = params["prototypes"]["kernel"], state["target"]["params"]
    softmax = embedding_oracles.softmax
    aims = [softmax(row / 0.1) for row in scores(target, kernel, views["global"][:, 0])]
    if balance:  # of probabilities, as they are
        aims = embedding_oracles.sinkhorn(np.log(aims), num_iterations=3, epsilon=1.0)
    local = views["local"].reshape(-1, *views["local"].shape[2:])
    anchors = [
        scores(params, kernel, views["global"][:, 1], keep=views["keep"]),
        *scores(params, kernel, local).reshape(6, 2, 8).transpose(1, 0, 2),
    ]
    answers = np.array([[softmax(row / 0.2) for row in anchor] for anchor in anchors])
    prices = np.array([[-(aims[b] @ np.log(each[b])) for each in answers] for b in range(6)])
    mean = answers.mean(axis=(0, 1))
    memax = np.log(8) + sum(p * np.log(p) for p in mean)
    np.testing.assert_allclose(values, prices.mean(axis=1) + 0.7 * memax, rtol=1e-4)
    np.testing.assert_allclose(metrics["assignment_loss"], prices.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["memax_loss"], memax, rtol=1e-3)


def test_the_encoder_sees_what_is_kept_alone(made):
    method, views, params, state = made
    assert views["keep"].shape == (6, 9)  # int(16 · 0.6)
    loss = jax.jit(lambda views: method.loss(params, state, views, KEY, CLOCK)[0])
    image = int(views["keep"][0, 0])
    dropped = next(n for n in range(16) if n not in np.asarray(views["keep"][0]))
    changed = {}
    for name, patch in (("kept", image), ("dropped", dropped)):
        row, column = (4 * i for i in divmod(patch, 4))
        crops = views["global"].at[0, 1, row : row + 4, column : column + 4].set(0.0)
        changed[name] = np.any(loss(views | {"global": crops}) != loss(views))
    assert changed == {"kept": True, "dropped": False}


def test_prototypes_learn_and_are_none_of_the_target(made):
    method, views, params, state = made
    assert "prototypes" not in state["target"]["params"]
    gradient = jax.jit(
        jax.grad(lambda params: method.loss(params, state, views, KEY, CLOCK)[0].mean())
    )(params)
    assert np.any(gradient["prototypes"]["kernel"] != 0)


def test_the_momentum_is_on_its_way_to_1_at_the_end(made):
    method, _, params, state = made
    clock = schedules.clock_at(12, steps_per_epoch=4, total_steps=12)
    moved = method.advance(params, state, clock)["target"]["params"]["encoder"]["class_token"]
    old, new = (x["encoder"]["class_token"] for x in (state["target"]["params"], params))
    momentum = 0.996 + 0.004 * 0.8
    np.testing.assert_allclose(moved - old, (1 - momentum) * (new - old), rtol=1e-3, atol=1e-7)


def test_mean_entropy_is_0_of_answers_that_differ_evenly_and_log_m_of_one_answer():
    alike = np.zeros((4, 2, 3), np.float32)
    alike[..., 1] = 100
    evenly = 100 * np.eye(3, dtype=np.float32)[np.arange(6) % 3].reshape(3, 2, 3)
    np.testing.assert_allclose(losses.mean_entropy(alike), np.log(3), rtol=1e-5)
    np.testing.assert_allclose(losses.mean_entropy(evenly), 0, atol=1e-6)
    with pytest.raises(ValueError, match="mean_entropy: temperature must be finite and above 0"):
        losses.mean_entropy(alike, temperature=0.0)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "MSN: the encoder must be a ViT, which can encode vis"),
        ({"sharpening": 0.0}, MODULE.config, "MSN: sharpening must be finite and above 0; got 0.0"),
        ({"memax_weight": -1.0}, MODULE.config, "MSN: memax_weight must be at least 0; got -1.0"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
