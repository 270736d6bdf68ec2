"""The methods of two views against float64 loops over their own projections."""

import dataclasses
import functools

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import small_encoder
import tiny

from jaxssl import draws, methods, schedules
from jaxssl.augment import policies
from jaxssl.methods import wmse

TINY = {
    "NNCLR": {"queue_size": 24},
    "WMSE": {"projector_dim": 3, "whitening_size": 8, "num_divisions": 2},
}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
NUM_IMAGES = 8


@functools.cache
def built(name, **changes):
    """Method, params, state and views of a small instance."""
    config = dataclasses.replace(tiny.method(name), **changes)
    method = config.build(small_encoder.SmallConfig().build(), axis_name=None)
    keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
    batch = {"image": tiny.images(NUM_IMAGES)}
    views = jax.jit(lambda: draws.make_views(method, batch, keys))()
    params, state = jax.jit(method.init)(KEY, views)
    return method, params, state, views


@functools.cache
def answer(name, **changes):
    """Projections of both views, values, new state and metrics."""
    method, params, state, views = built(name, **changes)

    def everything():
        values, (new_state, metrics) = method.loss(params, state, views, KEY, CLOCK)
        return method.embed(params, state, views)[:2], values, new_state, metrics

    return jax.device_get(jax.jit(everything)())


def mlp(params, rows, *, batch_norm_last=False):
    """heads.MLP in training mode on [B, D], float64."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    num_layers = sum(name.startswith("layer") for name in params)
    for index in range(1, num_layers + 1):
        layer = params[f"layer{index}"]
        rows = rows @ layer["kernel"] + layer.get("bias", 0)
        if index < num_layers or batch_norm_last:
            norm = params[f"norm{index}"]
            rows = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5)
            rows = rows * norm["scale"] + norm["bias"]
        if index < num_layers:
            rows = np.maximum(rows, 0)
    return rows


@functools.cache
def features(name, **changes):
    """Pooled features of both views, each normalised by batch statistics of its own, float64."""
    _, params, state, views = built(name, **changes)
    variables = {"params": params["encoder"], **state["encoder"]}
    encoder = small_encoder.SmallConfig().build()

    @jax.jit
    def encode(images):
        return encoder.apply(variables, images, train=True, mutable=["batch_stats"])[0].pooled

    return [np.asarray(encode(views[view]), np.float64) for view in ("a", "b")]


def predictions(name):
    """The predictor of a method on its own projections, in float64."""
    _, params, _, _ = built(name)
    return [mlp(params["predictor"], rows.astype(np.float64)) for rows in answer(name)[0]]


def test_byol_regresses_on_the_target_in_both_directions():
    (a, b), values, _, _ = answer("BYOL")  # the target begins as a copy of the online network
    predicted_a, predicted_b = predictions("BYOL")
    expected = embedding_oracles.cosine_regression(predicted_a, b)
    expected += embedding_oracles.cosine_regression(predicted_b, a)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_byol_target_follows_along_a_cosine_and_gets_no_gradient():
    method, params, state, views = built("BYOL")
    moved = jax.tree.map(lambda leaf: leaf + 1, params)
    target = method.advance(moved, state, CLOCK)["target"]["params"]
    momentum = 1 - (1 - 0.99) * (1 + np.cos(np.pi * 3 / 12)) / 2
    for name in ("encoder", "projector"):
        old, new = (jax.tree.leaves(tree[name]) for tree in (state["target"]["params"], target))
        for before, after in zip(old, new, strict=True):
            np.testing.assert_allclose(after, before + (1 - momentum), rtol=1e-5, atol=1e-6)
    assert target.keys() == {"encoder", "projector"}

    def mean(target_params):
        changed = state | {"target": state["target"] | {"params": target_params}}
        return method.loss(params, changed, views, KEY, CLOCK)[0].mean()

    gradient = jax.jit(jax.grad(mean))(state["target"]["params"])
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(gradient))


def test_byol_target_keeps_batch_statistics_of_its_own():
    _, _, state, _ = built("BYOL")
    _, _, new_state, _ = answer("BYOL")
    before, after = state["target"]["state"], new_state["target"]["state"]
    assert jax.tree.structure(before) == jax.tree.structure(after)
    changed = [np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)]
    assert all(changed)


def test_simsiam_is_half_the_negative_cosines():
    (a, b), values, _, _ = answer("SimSiam")
    predicted_a, predicted_b = predictions("SimSiam")
    cosines = [
        1 - embedding_oracles.cosine_regression(*pair) / 2
        for pair in ((predicted_a, b), (predicted_b, a))
    ]
    np.testing.assert_allclose(values, -(cosines[0] + cosines[1]) / 2, rtol=1e-4, atol=1e-5)
    assert values.min() >= -1 and values.max() <= 1


def test_simsiam_stops_the_gradient_of_the_projections(monkeypatch):
    method, params, state, views = built("SimSiam")

    def gradient():
        mean = lambda params: method.loss(params, state, views, KEY, CLOCK)[0].mean()  # noqa: E731
        return jax.device_get(jax.jit(jax.grad(mean))(params))

    stopped = gradient()
    monkeypatch.setattr(jax.lax, "stop_gradient", lambda x: x)
    flowing = gradient()
    ours, theirs = (tree["projector"]["layer3"]["kernel"] for tree in (stopped, flowing))
    assert np.linalg.norm(ours - theirs) > 0.1 * np.linalg.norm(ours)


def test_nnclr_contrasts_the_nearest_rows_of_the_old_queue():
    _, _, state, _ = built("NNCLR", queue_size=12)
    (a, b), values, new_state, _ = answer("NNCLR", queue_size=12)
    queue = np.asarray(state["queue"], np.float64)
    _, params, _, _ = built("NNCLR", queue_size=12)
    predicted = [mlp(params["predictor"], rows.astype(np.float64)) for rows in (a, b)]
    expected = np.zeros(NUM_IMAGES)
    for own, other in ((a, predicted[1]), (b, predicted[0])):
        nearest = []
        for row in own:
            cosines = [row @ q / np.linalg.norm(row) / np.linalg.norm(q) for q in queue]
            nearest.append(queue[int(np.argmax(cosines))])
        expected += oracles.info_nce(np.array(nearest), other, temperature=0.1) / 2
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(new_state["queue"][:NUM_IMAGES], a)
    np.testing.assert_array_equal(new_state["queue"][NUM_IMAGES:], state["queue"][:4])


@pytest.mark.parametrize("name", ["SimCLR", "DCL", "DCLW"])
def test_the_projector_ends_in_a_batch_norm_with_a_scale_alone(name):
    """As ``linear_layer`` of the authors' model_util.py: no layer has a bias, nor the last norm."""
    projector = built(name)[1]["projector"]
    learned = {layer: set(leaves) for layer, leaves in projector.items()}
    assert learned == {
        "layer1": {"kernel"},
        "norm1": {"scale", "bias"},
        "layer2": {"kernel"},
        "norm2": {"scale"},
    }


def test_dcl_and_dclw_leave_the_pair_out():
    (a, b), values, _, _ = answer("DCL")
    expected = embedding_oracles.dcl(a, b, temperature=0.1)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    (a, b), values, _, _ = answer("DCLW", sigma=0.7)
    weights = embedding_oracles.mises_fisher_weights(a, b, sigma=0.7)
    expected = embedding_oracles.dcl(a, b, temperature=0.1, weights=weights)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


def test_barlow_twins_weighs_the_off_diagonal_and_embeds_what_it_correlates():
    """As in the authors' main.py: ``c = self.bn(z1).T @ self.bn(z2)``, bn without affine part."""
    _, params, _, _ = built("BarlowTwins", redundancy_weight=0.3)
    embedded, value, _, _ = answer("BarlowTwins", redundancy_weight=0.3)
    projections = [
        mlp(params["projector"], rows) for rows in features("BarlowTwins", redundancy_weight=0.3)
    ]
    expected = embedding_oracles.barlow_twins(*projections, redundancy_weight=0.3, epsilon=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for got, rows in zip(embedded, projections, strict=True):
        for d in range(rows.shape[1]):
            deviations = rows[:, d] - sum(rows[:, d]) / NUM_IMAGES
            variance = sum(deviations**2) / NUM_IMAGES
            standardised = deviations / np.sqrt(variance + 1e-5)
            np.testing.assert_allclose(got[:, d], standardised, rtol=1e-3, atol=1e-4)


def test_vicreg_weighs_its_three_terms_and_logs_them():
    weights = {"invariance_weight": 2.0, "variance_weight": 3.0, "covariance_weight": 5.0}
    (a, b), value, _, metrics = answer("VICReg", **weights)
    terms = embedding_oracles.vicreg_terms(a, b, target_std=1.0, epsilon=1e-4)
    np.testing.assert_allclose(
        [metrics[name] for name in ("invariance", "variance", "covariance")], terms, rtol=1e-4
    )
    np.testing.assert_allclose(value, np.dot((2, 3, 5), terms), rtol=1e-4)


def test_wmse_whitens_within_parts_that_the_views_draw_and_embeds_the_first_division():
    """As in the authors' methods/w_mse.py: the encoder sees view by view, the head both at once."""
    changes = {"whitening_size": 4, "projector_dim": 2, "num_divisions": 2, "epsilon": 1e-3}
    _, params, state, views = built("WMSE", **changes)
    embedded, values, new_state, _ = answer("WMSE", **changes)
    both = np.concatenate(features("WMSE", **changes))
    projections = np.split(mlp(params["projector"], both), 2)
    expected = np.zeros(NUM_IMAGES)
    for division in range(2):
        rank = np.argsort(np.argsort(views["part"][:, division]))
        for part in (0, 1):
            rows = np.flatnonzero(rank % 2 == part)
            assert len(rows) == 4
            whitened = []
            for projection in projections:
                x = projection[rows]
                x = x - x.mean(0)
                covariance = (1 - 1e-3) * x.T @ x / 3 + 1e-3 * np.eye(2)
                whitened.append(np.linalg.solve(np.linalg.cholesky(covariance), x.T).T)
            expected[rows] += embedding_oracles.cosine_regression(*whitened) / 2
            if division == 0:
                for got, want in zip(embedded, whitened, strict=True):
                    np.testing.assert_allclose(got[rows], want, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)
    hidden = both @ np.asarray(params["projector"]["layer1"]["kernel"], np.float64)
    before, after = (
        tree["projector"]["batch_stats"]["norm1"]["mean"] for tree in (state, new_state)
    )
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["BarlowTwins", "WMSE"])
def test_embeddings_of_two_devices_are_those_of_one(name):
    """They are normalised over the global batch."""
    _, params, state, views = built(name)
    config, encoder = tiny.method(name), small_encoder.SmallConfig()
    method = config.build(encoder.build(axis_name="data"), axis_name="data")
    mapped = jax.shard_map(
        method.embed,
        mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
        in_specs=(jax.P(), jax.P(), jax.P("data")),
        out_specs=jax.P("data"),
    )
    got = jax.jit(mapped)(params, state, views)
    for ours, theirs in zip(got[:2], answer(name)[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_wmse_has_the_authors_defaults_for_imagenet_100():
    """``--emb 128 --w_size 256 --crop_s0 0.08 --cj0 0.8 … --cj3 0.2 --gs_p 0.2`` of the README.

    The rest is of cfg.py (``w_iter``, ``head_size``, ``cj_p``) and datasets/imagenet.py (blur).
    """
    config = wmse.WMSE()
    sizes = config.projector_dim, config.whitening_size, config.num_divisions
    assert (*sizes, config.projector_width) == (128, 256, 1, 1024)
    assert config.augment.second is None
    augment = config.augment.first
    assert (augment.size, augment.crop_scale, augment.interpolation) == (224, (0.08, 1.0), "cubic")
    assert augment.jitter == (0.8, 0.8, 0.8, 0.2) and augment.jitter_strength == 1
    assert (augment.jitter_prob, augment.grayscale_prob, augment.flip_prob) == (0.8, 0.2, 0.5)
    assert (augment.blur_prob, augment.blur_sigma) == (0.5, (0.1, 2.0))


def test_projections_of_a_view_do_not_depend_on_the_other_view():
    method, params, state, views = built("BarlowTwins")
    other = views | {"b": jnp.zeros_like(views["b"])}
    ours, theirs = (method.embed(params, state, each).first for each in (views, other))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: methods.all_configs()["NNCLR"](queue_size=0), r"NNCLR: queue_size.*got 0"),
        (
            lambda: methods.all_configs()["BYOL"](target_momentum=1.5),
            r"BYOL: target_momentum must be in \[0, 1\]; got 1.5",
        ),
        (lambda: wmse.WMSE(num_divisions=0), r"WMSE: num_divisions must be at least 1; got 0"),
        (
            lambda: wmse.WMSE(whitening_size=64, projector_dim=64),
            r"WMSE: whitening_size must be .*above 64; got 64\. Of projector",
        ),
    ],
)
def test_wrong_hyper_parameters_say_what_must_hold(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["SimCLR", "BYOL", "MoCoV2", "WMSE"])
def test_views_of_two_sizes_are_refused_as_they_are_stacked(name):
    pair = policies.Pair(policies.View(16), policies.View(8))
    config = dataclasses.replace(tiny.method(name), augment=pair)
    encoder = small_encoder.SmallConfig().build()
    with pytest.raises(ValueError, match=r"^augment: first and second views must have one size"):
        config.build(encoder, axis_name=None)
