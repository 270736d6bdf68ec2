"""LeJEPA against float64 loops over its own projections."""

import dataclasses

import embedding_oracles
import jax
import numpy as np
import pytest
import small_encoder
import tiny

from jaxssl import draws, schedules
from jaxssl.methods import lejepa
from jaxssl.methods.shared import multi_crop
from jaxssl.models import vit

# The authors' example; more are drawn on every device, as many as all else of a tiny step takes.
TINY = {"LeJEPA": {"num_slices": 256}}
KEY = jax.random.key(0)
BATCH, SLICES = 5, 3
CONFIG = dataclasses.replace(tiny.method("LeJEPA"), num_slices=SLICES, sigreg_weight=0.3)
ENCODER = small_encoder.SmallConfig().build()
METHOD, NETWORK = CONFIG.build(ENCODER, axis_name=None), CONFIG._network(ENCODER, None)
CLOCK = schedules.clock_at(0, steps_per_epoch=4, total_steps=12)


@pytest.fixture(scope="module")
def outcome():
    """Projections, values, metrics and embeddings of noise instead of crops."""
    random = np.random.default_rng(0)
    views = {
        "global": random.uniform(size=(BATCH, 2, 16, 16, 3)).astype(np.float32),
        "local": random.uniform(size=(BATCH, 3, 8, 8, 3)).astype(np.float32),
    }

    @jax.jit
    def run():
        params, state = METHOD.init(KEY, views)
        projections, _ = multi_crop.apply(NETWORK, params, state, views)
        only_global, _ = multi_crop.apply(NETWORK, params, state, {"global": views["global"]})
        values, (_, metrics) = METHOD.loss(params, state, views, KEY, CLOCK)
        return projections, values, metrics, METHOD.embed(params, state, views), only_global

    return jax.device_get(run())


def test_values_and_metrics_are_those_of_the_loop(outcome):
    projections, values, metrics, *_ = outcome
    assert projections.shape == (BATCH, 5, 8)
    directions = np.float64(jax.random.normal(KEY, (SLICES, 8)))
    statistics = []
    for direction in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        for view in range(5):
            samples = [float(row @ direction) for row in np.float64(projections[:, view])]
            statistics.append(
                embedding_oracles.epps_pulley(samples, num_knots=17, max_frequency=3.0)
            )
    sigreg = np.mean(statistics)
    invariance = []
    for views in np.float64(projections):
        center = (views[0] + views[1]) / 2
        invariance.append(np.mean([np.mean((view - center) ** 2) for view in views]))
    np.testing.assert_allclose(values, 0.7 * np.array(invariance) + 0.3 * sigreg, rtol=1e-4)
    np.testing.assert_allclose(metrics["sigreg"], sigreg, rtol=1e-4)
    np.testing.assert_allclose(metrics["view_invariance"], np.mean(invariance), rtol=1e-4)


def test_embeddings_are_those_of_the_global_views(outcome):
    *_, embedded, only_global = outcome
    np.testing.assert_allclose(embedded.first, only_global[:, 0], rtol=1e-5)
    np.testing.assert_allclose(embedded.second, only_global[:, 1], rtol=1e-5)
    assert embedded.assignments is None


def test_two_global_views_are_enough():
    augment = dataclasses.replace(CONFIG.augment, num_local=0)
    method = dataclasses.replace(CONFIG, augment=augment).build(ENCODER, axis_name=None)

    def values(images):
        views = draws.make_views(method, {"image": images}, jax.random.split(KEY, 4))
        assert set(views) == {"global"}
        params, state = method.init(KEY, views)
        return method.loss(params, state, views, KEY, CLOCK)[0]

    assert jax.eval_shape(values, tiny.images(4)).shape == (4,)


@pytest.mark.slow
def test_a_vit_loses_branches_by_the_draws_of_its_example():
    encoder = vit.ViTConfig(width=16, depth=2, num_heads=2, patch_size=4).build()
    config = dataclasses.replace(CONFIG, drop_path=0.5)
    method = config.build(encoder, axis_name=None)

    views = jax.jit(
        lambda: draws.make_views(method, {"image": tiny.images(4)}, jax.random.split(KEY, 4))
    )()
    assert views["branch"].shape == (4, 4, 2, 2)

    @jax.jit
    def values(views):
        params, state = method.init(KEY, views)
        return method.loss(params, state, views, KEY, CLOCK)[0]

    none_lost = values(views | {"branch": np.full_like(views["branch"], 0.5)})
    assert np.all(np.isfinite(none_lost)) and np.all(values(views) != none_lost)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_of_stochastic_depth_outside_its_interval_is_named(rate):
    message = rf"LeJEPA: drop_path must be in \[0, 1\); got {rate}\. The published rate is 0\.1\."
    with pytest.raises(ValueError, match=message):
        lejepa.LeJEPA(drop_path=rate)
    with pytest.raises(ValueError, match=r"LeJEPA: drop_path must be 0 where .* 0\.2 and Small\."):
        dataclasses.replace(CONFIG, drop_path=0.2).build(ENCODER, axis_name=None)


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_weight_outside_the_unit_interval_is_named(weight):
    message = rf"LeJEPA: sigreg_weight must be in \[0, 1\]; got {weight}\. The published"
    with pytest.raises(ValueError, match=message):
        lejepa.LeJEPA(sigreg_weight=weight)
